"""Daily returns of two stock indices, 1999 to 2018, as a table to train on.

    pip install arch
    python benchmarks/returns_table.py returns.csv

The prices come with the package ``arch``. Columns, in percent, for the S&P 500 and the Nasdaq: the return,
ln(close / close of the day before), the range of the day, ln(high / low), and the change of the volume traded.
One day has no volume, so that two of its changes are infinite: train with ``dataset.missing=drop``.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd


def daily_values(prices: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return, range and change of volume of each day but the first [%], from its prices."""
    values = {
        "return": prices["Close"] / prices["Close"].shift(),
        "range": prices["High"] / prices["Low"],
        "volume": prices["Volume"] / prices["Volume"].shift(),
    }
    with np.errstate(divide="ignore"):
        return pd.DataFrame({f"{name}_{part}": 100 * np.log(ratio) for part, ratio in values.items()})


def main(path: str) -> None:
    """Write the table as a CSV file."""
    from arch.data import nasdaq, sp500

    table = pd.concat([daily_values(sp500.load(), "sp500"), daily_values(nasdaq.load(), "nasdaq")], axis=1).dropna()
    table.to_csv(path, index_label="date")
    print(f"{path}: {len(table)} rows, {', '.join(table)}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
