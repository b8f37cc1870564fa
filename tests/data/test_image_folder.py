"""Folders of images and CelebA: layouts, pixels, splits, the cache, files that are damaged, and batches from disk."""

from __future__ import annotations

import os
import pickle
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torchvision.transforms.functional import center_crop, pil_to_tensor, resize, to_pil_image

from tests.support.composing import REPOSITORY
from tests.support.device import OPENED_ON
from tests.support.image_files import write_celeba, write_pictures
from vae_hydra.analysis.evaluation import evaluate
from vae_hydra.analysis.outliers.command import ood
from vae_hydra.data import image_cache
from vae_hydra.data.datamodule import DataModule
from vae_hydra.data.lazy import LazyRows
from vae_hydra.data.located import MissingFiles
from vae_hydra.data.own_files import present_digest
from vae_hydra.data.sources.celeba import load_celeba
from vae_hydra.data.sources.image_folder import load_image_folder
from vae_hydra.runs.folder import Run
from vae_hydra.runs.identity import run_name
from vae_hydra.runs.saved import data_of, open_run
from vae_hydra.runs.train import train
from vae_hydra.runs.trained import TrainedModel


@pytest.fixture
def load(tmp_path):
    """``load_image_folder`` of a folder under the temporary one, with a cache there."""

    def call(name: str = "pictures", **options):
        return load_image_folder(
            str(tmp_path / name), **{"cache": str(tmp_path / "cache"), "size": [20, 24], **options}
        )

    return call


def all_rows(source) -> dict[bytes, int]:
    """The bytes of every image and its label."""
    parts = [part for part in (source.train, source.validation, source.test) if part is not None]
    return {x.numpy().tobytes(): int(y) for part in parts for x, y in zip(part.x, part.y, strict=True)}


def channels_first(pixels: np.ndarray) -> np.ndarray:
    return np.moveaxis(pixels, -1, 1)


def test_a_folder_for_each_class_is_read_as_torchvision_reads_it(picture_folder, load):
    source = load()
    reference = torchvision.datasets.ImageFolder(str(picture_folder))
    expected = {pil_to_tensor(image).numpy().tobytes(): label for image, label in reference}
    assert all_rows(source) == expected
    assert (len(source.train), len(source.test), source.scale) == (48, 12, 1 / 255)
    assert set(source.test.y.tolist()) == {0, 1}


def test_a_flat_folder_is_one_class_and_its_test_images_are_drawn_by_seed(tmp_path, load):
    pixels = write_pictures(tmp_path / "flat", 20, 20, 24)
    (tmp_path / "flat" / "notes.txt").write_text("no image")
    (tmp_path / "flat" / ".hidden.png").write_text("no image")
    source, again, other = (load("flat", colour=False, seed=seed, test=0.3) for seed in (0, 0, 1))
    assert {bytes(row) for row in map(np.ndarray.tobytes, pixels)} == set(all_rows(source))
    assert set(all_rows(source).values()) == {0}
    assert len(source.test) == 6
    assert torch.equal(source.test.x, again.test.x)
    assert not torch.equal(source.test.x, other.test.x)


@pytest.mark.parametrize("validation", ["val", "valid", "validation"])
def test_folders_of_splits_are_the_splits(tmp_path, load, validation):
    counts = {"train": 9, "test": 5, validation: 3}
    for seed, (split, count) in enumerate(counts.items()):
        for label in ("a", "b") if split != "test" else ("b",):
            write_pictures(tmp_path / "pictures" / split / label, count, 20, 24, 3, seed=seed)
    source = load()
    assert [len(source.train), len(source.test), len(source.validation)] == [18, 5, 6]
    # The label is that of the class, although the first class has no test image.
    assert source.test.y.tolist() == [1] * 5
    data = DataModule(source, 4, resize=8)
    assert {name: tuple(part.x.shape[2:]) for name, part in data.splits.items()} == dict.fromkeys(data.splits, (8, 8))
    with pytest.raises(ValueError, match="dataset.fold divides examples at random, so it needs data without a split"):
        DataModule(source, 4, fold=1)


def test_splits_of_flat_folders_and_training_without_test(tmp_path, load):
    for split in ("train", "val"):
        write_pictures(tmp_path / "pictures" / split, 10, 20, 24, 3)
    source = load()
    assert [len(source.train), len(source.test), len(source.validation)] == [8, 2, 10]


def test_a_class_may_be_called_train(tmp_path, load):
    for name in ("bus", "train"):
        write_pictures(tmp_path / "pictures" / name, 5, 20, 24, 3)
    assert load().train.y.unique().tolist() == [0, 1]


@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize(("size", "box"), [(10, (2, 0, 22, 20)), ([10, 8], (4, 0, 20, 20)), ([5, 12], (0, 5, 24, 15))])
def test_images_are_cut_at_the_centre_and_resized(picture_folder, load, size, box, colour):
    """The largest box of the right proportions in the centre, resized with Pillow's bilinear filter."""
    sides = (size, size) if isinstance(size, int) else size
    expected = set()
    for path in picture_folder.rglob("*.png"):
        image = Image.open(path).convert("RGB" if colour else "L")
        part = image.resize((sides[1], sides[0]), Image.Resampling.BILINEAR, box=box)
        expected.add(pil_to_tensor(part).numpy().tobytes())
    assert set(all_rows(load(size=size, colour=colour))) == expected


def test_sixteen_bits_are_scaled_and_photographs_turned_upright(tmp_path, load):
    folder = tmp_path / "pictures"
    folder.mkdir()
    values = (np.arange(480) * 136).astype(np.uint16).reshape(20, 24)
    Image.fromarray(values).save(folder / "deep.png")
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20), dtype=np.uint8)
    sideways = Image.fromarray(pixels)
    sideways.getexif()[0x0112] = 6  # the camera's orientation: turn by 90° clockwise
    sideways.save(folder / "sideways.png", exif=sideways.getexif())
    expected = {(values >> 8).astype(np.uint8).tobytes(), np.rot90(pixels, -1).tobytes()}
    assert set(all_rows(load(colour=False, test=0.5))) == expected


def test_the_cache_is_used_again_and_renewed_when_a_file_changes(picture_folder, load, tmp_path, monkeypatch):
    first = load()
    converted = []
    original = image_cache._row
    monkeypatch.setattr(image_cache, "_row", lambda file, form: converted.append(file) or original(file, form))
    assert torch.equal(load(seed=0).train.x, first.train.x)
    assert not converted
    load(colour=False)
    assert len(converted) == 60
    changed = picture_folder / "cats" / "000.png"
    Image.fromarray(np.zeros((20, 24, 3), np.uint8)).save(changed)
    os.utime(changed, ns=(1, 1))
    assert bytes(3 * 20 * 24) in all_rows(load())
    assert len(converted) == 120
    assert len([path for path in (tmp_path / "cache").iterdir() if path.is_dir()]) == 3


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_conversion_leaves_nothing(picture_folder, load, tmp_path, monkeypatch, error):
    calls = []

    def failing(file, form):
        calls.append(file)
        if len(calls) > 20:
            raise error
        return np.zeros(form.shape, np.uint8)

    with monkeypatch.context() as patch:
        patch.setattr(image_cache, "_row", failing)
        with pytest.raises(type(error) if isinstance(error, OSError) else error):
            load()
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]
    assert len(load().train) == 48


def test_a_damaged_file_is_named_or_left_out(picture_folder, load, caplog):
    whole = all_rows(load())
    damaged = picture_folder / "dogs" / "007.png"
    pixels = np.asarray(Image.open(damaged))
    damaged.write_bytes(damaged.read_bytes()[:60])
    (picture_folder / "cats" / "nothing.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"nothing\.jpg cannot be read as an image: .*dataset.unreadable=skip"):
        load()
    for _ in range(2):
        rows = all_rows(load(unreadable="skip"))
        assert rows == {row: y for row, y in whole.items() if row != channels_first(pixels[None]).tobytes()}
    assert "2 files cannot be read and are left out" in caplog.text
    # The cache knows of them.
    with pytest.raises(ValueError, match=r"nothing\.jpg cannot be read"):
        load()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, r"dataset.size\[0\] must be an integer ≥ 1"),
        ({"size": [4, 5, 6]}, r"dataset.size must be a side or \[height, width\]"),
        ({"colour": "grey"}, "dataset.colour must be true or false"),
        ({"test": 0}, r"dataset.test must be a number in \(0, 1\)"),
        ({"test": 0.999}, "leave nothing for train"),
        ({"unreadable": "ignore"}, "dataset.unreadable must be one of refuse, skip"),
        ({"in_memory": 1}, "dataset.in_memory must be true or false"),
        ({"cache": ""}, "dataset.cache must be a folder"),
        ({"name": "nowhere"}, "there is no folder .*nowhere"),
    ],
)
def test_bad_options_are_refused(picture_folder, load, options, message):
    with pytest.raises(ValueError, match=message):
        load(**options)


def test_folders_that_hold_no_dataset_are_refused(tmp_path, load):
    folder = tmp_path / "pictures"
    (folder / "empty").mkdir(parents=True)
    with pytest.raises(ValueError, match="there are no images in"):
        load()
    write_pictures(folder / "a", 2, 20, 24)
    write_pictures(folder, 1, 20, 24)
    with pytest.raises(ValueError, match=r"images beside folders of images, a; move 000\.png"):
        load()
    shutil.rmtree(folder)
    write_pictures(folder / "train" / "a", 2, 20, 24)
    write_pictures(folder / "test" / "b", 2, 20, 24)
    with pytest.raises(ValueError, match=r"must have the classes of train, \['a'\], but it has \['b'\]"):
        load()
    with pytest.raises(ValueError, match="dataset=image_folder needs a folder of images: dataset.path=FOLDER"):
        load_image_folder(None)


OPTIONS = [
    {},
    {"fraction": 0.5, "fold": 1},
    {"resize": 12},
    {"binarise": "static"},
    {"binarise": "dynamic", "labelled": 0.5},
    {"imbalance": 4.0},
    {"contamination": 0.3, "contaminant": "shuffled"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_mapped_images_give_the_batches_of_those_in_memory(picture_folder, load, options):
    held, mapped = (DataModule(load(in_memory=kept), 7, **options) for kept in (True, False))
    assert isinstance(mapped.splits["test"].x, LazyRows) == ("resize" not in options and "binarise" not in options)
    assert held.value_range() == mapped.value_range()
    assert held.is_binary == mapped.is_binary
    for loaders in (
        (held.train_dataloader(), mapped.train_dataloader()),
        (held.val_dataloader(), mapped.val_dataloader()),
        (held.test_dataloader(), mapped.test_dataloader()),
    ):
        batches, others = (list(loader) for loader in loaders)
        assert len(batches) == len(others) > 0
        for one, other in zip(batches, others, strict=True):
            assert type(other[0]) is torch.Tensor
            assert torch.equal(one[0], other[0])
            assert torch.equal(one[1], other[1])
    for split in held.splits:
        assert torch.equal(held.prepared(split).x, mapped.prepared(split).x)
        generators = [torch.Generator().manual_seed(0) for _ in range(2)]
        shuffled = [data.shuffled(split, one, 5).x for data, one in zip((held, mapped), generators, strict=True)]
        assert torch.equal(*shuffled)


def test_a_mapped_run_is_named_trained_and_scored_like_one_in_memory(picture_folder, configure, tmp_path):
    small = ("model=conv", "model.channels=[4]", "trainer.max_epochs=1", "test_noises=null", "dataset.size=16")
    scores, names = [], []
    for number, kept in enumerate(("true", "false")):
        config = configure(
            *("dataset=image_folder", f"dataset.path={picture_folder}", f"dataset.in_memory={kept}", *small),
            *(f"output_dir={tmp_path / str(number)}", f"dataset.cache={tmp_path / 'caches' / str(number)}"),
        )
        scores.append(train(config))
        names.append(run_name(config))
        scored = evaluate(configure(f"run={Run.of(config).folder}", OPENED_ON, name="evaluate"))
        assert scored == scores[-1]
    assert scores[0] == scores[1]
    assert names[0] == names[1]
    (picture_folder / "cats" / "000.png").unlink()
    with pytest.raises(ValueError, match="dataset.path: the folder of images has changed since this run was trained"):
        evaluate(configure(f"run={Run.of(config).folder}", OPENED_ON, "split=train", name="evaluate"))


def test_a_mapped_run_is_explored_and_told_from_outliers(picture_folder, image_files, configure):
    """CelebA, whose images can have any size, comes in the size and the colour of the run."""
    small = ("model.encoder.widths=[4]", "model.decoder.widths=[4]", "trainer.max_epochs=1", "test_noises=null")
    form = ("dataset.in_memory=false", "dataset.size=[8,10]", "dataset.colour=false")
    config = configure("dataset=image_folder", f"dataset.path={picture_folder}", *form, *small)
    train(config)
    run = Run.of(config).folder
    saved = open_run(run)
    data = data_of(saved)
    trip = TrainedModel(saved.module, data).round_trip(3)
    torch.testing.assert_close(trip.original, data.splits["test"].x[3].float() / 255)
    options = (f"run={run}", f"dataset_root={image_files}", "against=[celeba,shuffled]", OPENED_ON)
    with pytest.raises(ValueError, match="dataset.path"):
        # Its own images are not under that folder.
        ood(configure(*options, name="ood"))
    shutil.copytree(picture_folder, Path(image_files) / picture_folder.name)
    scores = ood(configure(*options, name="ood"))
    assert {name.split("/")[1] for name in scores} == {"celeba", "shuffled"}


@pytest.fixture
def celeba(tmp_path):
    """A root with CelebA's files, ``load_celeba`` of it, and the attribute Male of each image."""
    male = write_celeba(tmp_path)
    cache = str(tmp_path / "cache")
    return tmp_path, lambda **options: load_celeba(str(tmp_path), False, **{"cache": cache, **options}), male


def test_celeba_is_cut_to_148_and_resized_and_labelled(celeba):
    root, load, male = celeba
    source = load()
    parts = (source.train, source.validation, source.test)
    assert [tuple(part.x.shape) for part in parts] == [(40, 3, 64, 64), (10, 3, 64, 64), (16, 3, 64, 64)]
    assert torch.cat([part.y for part in parts]).tolist() == male.astype(int).tolist()
    image = Image.open(root / "celeba" / "img_align_celeba" / "000041.jpg")
    published = resize(center_crop(image, [148, 148]), [64, 64])
    assert torch.equal(source.validation.x[0], pil_to_tensor(published))
    assert torch.equal(pil_to_tensor(to_pil_image(source.validation.x[0])), source.validation.x[0])
    assert load(attribute=None).train.y.unique().tolist() == [0]
    assert load(size=[12, 10], colour=False).test.x.shape == (16, 1, 12, 10)


def test_celeba_says_what_is_missing(celeba, tmp_path, monkeypatch):
    root, load, _ = celeba
    with pytest.raises(ValueError, match="dataset.attribute must be one of Smiling, Male, but got 'Mail'"):
        load(attribute="Mail")
    (root / "celeba" / "img_align_celeba" / "000003.jpg").unlink()
    with pytest.raises(ValueError, match=r"list_eval_partition.txt lists 000003.jpg, but there is no file"):
        load()
    (root / "celeba" / "list_attr_celeba.txt").unlink()
    with pytest.raises(
        ValueError, match="CelebA was not found under dataset.root=.*dataset.download=true.*put img_align"
    ):
        load()

    def refuse(*arguments, **options):
        raise RuntimeError("Google Drive refuses")

    monkeypatch.setattr(torchvision.datasets, "CelebA", refuse)
    with pytest.raises(ValueError, match=r"could not be downloaded \(Google Drive refuses\)"):
        load_celeba(str(root), True, cache=str(tmp_path))


def test_the_benchmark_runs(tmp_path):
    benchmark = runpy.run_path(str(REPOSITORY / "benchmarks" / "image_folder.py"))
    benchmark["write_images"](tmp_path / "images", 200)
    seconds = benchmark["compare"](tmp_path / "images", 1)
    assert min(seconds.values()) > 0


def test_an_empty_folder_and_a_missing_one_are_not_changed_images(tmp_path):
    (tmp_path / "empty").mkdir()
    assert present_digest({"path": str(tmp_path / "empty"), "root": None}) is None
    assert present_digest({"path": str(tmp_path / "nowhere"), "root": None}) is None
    assert present_digest({"name": "digits"}) is None


def test_an_error_about_missing_files_travels_between_processes():
    error = pickle.loads(pickle.dumps(MissingFiles("MNIST was not found", "MNIST/raw", ". Put it there")))
    assert str(error) == "MNIST was not found. Put it there"
    assert str(error.of_saved_run()) == (
        "MNIST was not found; name the folder that holds MNIST/raw with dataset_root=FOLDER"
    )
