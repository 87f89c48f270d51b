import json

import pytest

from benchmarks.reliability.mutants import keep_reasons, make_block, read_mutants
from spacy_wnut.errors import WnutError

# As mutmut writes it.
SOURCE = """\
def x__first__mutmut_orig(row, start=0):
    return row[start]

def x__first__mutmut_1(row, start=1): # type: ignore # mutmut generated
    return row[start] # type: ignore # mutmut generated

class Reader:
    def xǁReaderǁ_read__mutmut_orig(self, size):
        rows = self.rows(
            size,
        )
        return rows

    def xǁReaderǁ_read__mutmut_1(self, size): # type: ignore # mutmut generated
        rows = self.rows( # type: ignore # mutmut generated
            ) # type: ignore # mutmut generated
        return rows # type: ignore # mutmut generated
"""


def write(folder, file, codes):
    path = folder / "spacy_wnut" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SOURCE, encoding="utf8")
    names = ["x__first__mutmut_1", "xǁReaderǁ_read__mutmut_1"]
    keys = [f"spacy_wnut.module.{name}" for name in names]
    results = {"exit_code_by_key": dict(zip(keys, codes, strict=True))}
    path.with_name(f"{path.name}.meta").write_text(json.dumps(results))


def test_survivors_are_listed_with_their_changes(tmp_path):
    # Survived and killed; killed by the limit of time and without a test; killed twice.
    write(tmp_path, "crf/chain.py", [0, 1])
    write(tmp_path, "bulk/journal.py", [-24, 33])
    write(tmp_path, "bulk/sources.py", [1, 3])
    chain, journal, readers = read_mutants(tmp_path)
    assert chain == {
        "area": "linear chain",
        "mutants": 2,
        "killed": 1,
        "survivors": [
            {
                "file": "spacy_wnut/crf/chain.py",
                "function": "_first",
                "change": [
                    "-def _first(row, start=0):",
                    "+def _first(row, start=1):",
                ],
            }
        ],
    }
    [survivor] = journal["survivors"]
    assert survivor["function"] == "Reader._read"
    assert survivor["change"] == ["-size,", "-)", "+)"]
    assert (readers["mutants"], readers["killed"], readers["survivors"]) == (2, 2, [])


def test_reasons_are_kept_for_the_same_changes(tmp_path):
    write(tmp_path, "crf/chain.py", [0, 0])
    old = read_mutants(tmp_path)
    assert keep_reasons(old, []) == 2
    old[0]["survivors"][1]["reason"] = "the same result"
    new = read_mutants(tmp_path)
    assert keep_reasons(new, old) == 1
    assert [one["reason"] for one in new[0]["survivors"]] == ["", "the same result"]


@pytest.mark.parametrize("codes", [(1, None), (2, 1)])
def test_mutants_that_were_not_run_are_no_result(tmp_path, codes):
    with pytest.raises(WnutError, match="has no results of mutmut"):
        read_mutants(tmp_path)
    write(tmp_path, "crf/chain.py", codes)
    with pytest.raises(WnutError, match=r"mutmut did not run .*start it again"):
        read_mutants(tmp_path)


def test_table_counts_mutants_and_reasons():
    reasons = ["same result", "cannot occur", "same result: by another way"]
    survivors = [{"reason": reason} for reason in reasons]
    area = {"area": "readers", "mutants": 1000, "killed": 997, "survivors": survivors}
    assert make_block([area]) == (
        "| area | mutants | killed | share |\n"
        "| --- | ---: | ---: | ---: |\n"
        "| readers | 1,000 | 997 | 99.7% |\n"
        "\n"
        "| reason of survival | mutants |\n"
        "| --- | ---: |\n"
        "| same result | 2 |\n"
        "| cannot occur | 1 |\n"
    )
