# Build: docker build -t vae_hydra .      Train: docker run --rm -v "$PWD/outputs:/work/outputs" vae_hydra train trainer.max_epochs=20
# The image has torch for the CPU alone, of PyTorch's own index. With TORCH_INDEX=https://pypi.org/simple it gets CUDA.
FROM python:3.11-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 OMP_WAIT_POLICY=PASSIVE MPLCONFIGDIR=/tmp/matplotlib

WORKDIR /src
COPY constraints.txt pyproject.toml MANIFEST.in README.md LICENSE CHANGELOG.md CITATION.cff ./
COPY conf conf
COPY vae_hydra vae_hydra
# torch and torchvision of one index fit each other; their versions are those of the constraints.
RUN grep -E '^(torch|torchvision)==' constraints.txt > torch.txt \
    && grep -v -E '^(torch|torchvision)==|^(nvidia|cuda|triton)' constraints.txt > others.txt \
    && pip install --index-url "$TORCH_INDEX" -r torch.txt \
    && pip install -c others.txt '.[export,search,explore,parquet,hub]' \
    && rm -rf /src/*

RUN useradd --create-home user && mkdir /work && chown user /work
USER user
WORKDIR /work
ENTRYPOINT ["vae-hydra"]
CMD ["--help"]
