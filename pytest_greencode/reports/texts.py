"""Every text of the HTML report, in English and Japanese.

A text is a `Bilingual`, so none can lack a language. `{name}` is filled by `str.format`; both languages have the same
names (tests see to it). Texts are trusted and plain; what fills them is escaped by who renders them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..reasons import Reason

LANGUAGES: Mapping[str, str] = {"en": "English", "ja": "日本語"}


class Bilingual(NamedTuple):
    """One text in each language of `LANGUAGES`."""

    en: str
    ja: str

    def filled(self, **values: object) -> Bilingual:
        """Both languages with their `{name}`s filled; a Bilingual value gives each language its own."""

        def of(language: str) -> dict[str, object]:
            return {
                name: getattr(value, language) if isinstance(value, Bilingual) else value
                for name, value in values.items()
            }

        return Bilingual(self.en.format(**of("en")), self.ja.format(**of("ja")))


def plain(text: str) -> Bilingual:
    """The same text for every language: names, numbers."""
    return Bilingual(text, text)


TEXTS: Mapping[str, Bilingual] = {
    # The head.
    "title": Bilingual("Carbon per accepted solution", "合格した解 1 件あたりのカーボン"),
    "subtitle": Bilingual(
        "Grams of CO₂e of every attempt, failed ones included, divided by what passed its tests.",
        "失敗も含めたすべての試行の CO₂e を、テストに合格した解の数で割った値です。",
    ),
    "language": Bilingual("Language", "言語"),
    "contents": Bilingual("Contents", "目次"),
    "skip": Bilingual("Skip to the summary", "要約へ移動"),
    "to_top": Bilingual("To the summary", "要約へ戻る"),
    "run_at": Bilingual("Run of {date}", "実行日時 {date}"),
    "on_host": Bilingual("on {host}", "実行環境 {host}"),
    # Headings, and what stands below them.
    "summary": Bilingual("Summary", "要約"),
    "quality": Bilingual("Quality against carbon", "品質とカーボン"),
    "quality_lead": Bilingual(
        "Up is better, left is cleaner. The dashed line is the Pareto front: nothing on this page is both better and "
        "cleaner than a configuration on it, by the point estimates. Bars are 95 % intervals over tasks like these; "
        "where they overlap the order is not settled by this figure.",
        "上ほど品質が高く、左ほどカーボンが少ないことを表します。破線はパレートフロントです。点推定値で見て、線上の構成より"
        "品質もカーボンも優れた構成はこのページにはありません。棒は同種の課題に対する 95 % 区間です。"
        "重なる場合、この図だけでは順位は決まりません。",
    ),
    "retries": Bilingual("Allowing retries", "再試行を許す回数"),
    "retries_lead": Bilingual(
        "A task is tried until an attempt is accepted, at most k times. More tries solve more tasks; what an accepted "
        "solution then costs is shown here.",
        "各課題は合格するまで、最大 k 回試行します。回数を増やすと解ける課題は増えます。"
        "そのとき合格 1 件のコストがどうなるかを示します。",
    ),
    "retries_least": Bilingual(
        "Least per accepted solution at k = {k}.", "合格 1 件あたりが最小になるのは k = {k} です。"
    ),
    "retries_single": Bilingual(
        "Every task has one attempt, so there is no curve over k. With more samples per task it appears here.",
        "どの課題も試行は 1 回なので、k に対する曲線はありません。課題ごとの試料を増やすとここに現れます。",
    ),
    "retries_chain": Bilingual(
        "Attempts of a chain depend on the ones before, so there is no estimate for other k.",
        "連鎖した試行は前の試行に依存するため、他の k に対する推定はできません。",
    ),
    "as_numbers": Bilingual("As numbers", "数値で見る"),
    "grams": Bilingual("Where the grams go", "カーボンの内訳"),
    "grams_lead": Bilingual(
        "The headline counts the solution: generation and execution, with the embodied share where it is modelled. The "
        "harness (sandbox and tests) is shown beside it and is never part of it.",
        "主指標が数えるのは解そのもの(生成と実行、モデル化されていれば埋め込み分も)です。"
        "検証基盤(サンドボックスとテスト)は並べて示しますが、主指標には含めません。",
    ),
    "grams_per_accepted": Bilingual("Per accepted solution", "合格した解 1 件あたり"),
    "grams_of_run": Bilingual("All attempts of this run", "この実行のすべての試行"),
    "waste_title": Bilingual("Accepted against wasted", "合格した試行と無駄になった試行"),
    "waste_lead": Bilingual(
        "Share of the grams that went into accepted attempts, into failed attempts at tasks that were solved, and into "
        "tasks that never were.",
        "合格した試行、解けた課題での失敗した試行、最後まで解けなかった課題に、それぞれ費やされた割合です。",
    ),
    "comparisons": Bilingual("Comparisons", "比較"),
    "comparisons_lead": Bilingual(
        "Paired by task. A ratio below 1 means that the first one needs less CO₂e per accepted solution. Where the "
        "95 % interval contains 1, the two are not distinguishable.",
        "課題ごとに対応づけた比較です。比が 1 未満なら、前者のほうが合格 1 件あたりの CO₂e が少ないことを表します。"
        "95 % 区間が 1 を含む場合、両者は区別できません。",
    ),
    "factors_title": Bilingual("One factor at a time", "因子ごとの効果"),
    "factors_lead": Bilingual(
        "Pairs of configurations that differ in this factor alone. The sign is measured, never assumed.",
        "その因子だけが異なる構成の組です。符号は仮定せず、測定から求めます。",
    ),
    "pairs": Bilingual("Pairs", "二つずつの比較"),
    "alternatives": Bilingual("What was not taken, and why", "採用しなかった構成とその理由"),
    "criterion_named": Bilingual(
        "Beside {name}, which was asked for by name.", "名前で指定された {name} と比べたものです。"
    ),
    "criterion_target": Bilingual(
        "Beside {name}, which has the fewest grams among those shown to reach the pass@k that is asked for.",
        "求める pass@k に達すると示された構成のうち最も排出の少ない {name} と比べたものです。",
    ),
    "criterion_nearest": Bilingual(
        "None is shown to reach the pass@k that is asked for. Beside {name}, which comes nearest.",
        "求める pass@k に達すると示された構成はありません。最も近い {name} と比べたものです。",
    ),
    "criterion_fewest": Bilingual(
        "Beside {name}, which has the fewest grams per accepted solution.",
        "合格 1 件あたりの排出が最も少ない {name} と比べたものです。",
    ),
    "why_not_compared": Bilingual("cannot be compared", "比較できない"),
    "why_below_target": Bilingual("not shown to reach the pass@k asked for", "求める pass@k に達すると示されていない"),
    "why_not_told_apart": Bilingual(
        "not distinguishable in grams: may as well be taken", "排出量では区別できない(採用してもよい)"
    ),
    "why_more": Bilingual("needs more", "排出が多い"),
    "why_more_for_quality": Bilingual("needs more, but solves more", "排出は多いが、解ける課題も多い"),
    "why_less_and_worse": Bilingual("needs less, but solves less", "排出は少ないが、解ける課題も少ない"),
    "why_less": Bilingual("needs less, but another was asked for", "排出は少ないが、別の構成が指定された"),
    "why_no_interval": Bilingual("no interval to tell it by", "区間がなく判断できない"),
    "other_ways": Bilingual("A person, and other tools", "人の作業と他の手段"),
    "other_ways_lead": Bilingual(
        "What a solution takes otherwise, and what {name} takes of it, in percent.",
        "他の手段で解を得る場合の値と、それに対する {name} の割合(%)です。",
    ),
    "a_person": Bilingual("a person", "人"),
    "no_rate": Bilingual("at no pass rate", "どの合格率でも達しない"),
    "cascades": Bilingual("One after the other", "二段構え"),
    "cascades_lead": Bilingual(
        "The second is asked only where all attempts of the first failed. This needs tests that exist before the code.",
        "前者の試行がすべて失敗した課題だけを後者に任せます。コードより先にテストがあることが前提です。",
    ),
    "cascades_left": Bilingual(
        "{count} more are dearer; they stand in the raw numbers.", "ほか {count} 件は生データにあります。"
    ),
    "behind_alone": Bilingual("better alone: {names}", "単独で優れる構成: {names}"),
    "behind_cascade": Bilingual("another one is better", "他の組のほうが優れる"),
    "month": Bilingual("A month in use", "1 か月の利用"),
    "month_lead": Bilingual(
        "The usage as it was given, at the costs found here, failed attempts included. Intervals are those of the "
        "benchmark; work with longer prompts or answers costs more.",
        "与えられた利用量を、ここで得たコスト(失敗した試行を含む)で換算したものです。区間はベンチマークのものです。"
        "より長い入力や出力ではコストが増えます。",
    ),
    "month_log": Bilingual(
        "Usage log {path}: {rows} rows over {days} days, {used} of them with a row",
        "利用記録 {path}: {days} 日間に {rows} 行(記録のある日は {used} 日)",
    ),
    "month_not_read": Bilingual(
        "Lines that could not be read, and whose calls are in no figure: {count}",
        "読み取れず、どの数値にも含まれない行: {count}",
    ),
    "month_unmet": Bilingual(
        "{calls} calls a month go to {name}, of which there is no attempt here",
        "月 {calls} 回の呼び出しは {name} に対するもので、ここにはその試行がありません",
    ),
    "payback": Bilingual("Payback", "初期コストの回収"),
    "payback_lead": Bilingual(
        "One-off cost / what each accepted solution saves. Spans follow from the 95 % interval of the saving, the best "
        "case first.",
        "初期コストを合格 1 件あたりの削減で割ります。幅は削減の 95 % 区間によるもので、最良の場合を先に示します。",
    ),
    "payback_change": Bilingual("From {old} to {new}:", "{old} から {new} へ変えた場合:"),
    "payback_chart_lead": Bilingual(
        "What is saved in all, less the one-off cost; the band is the 95 % interval. Where the line crosses 0 the cost "
        "is paid back.",
        "累計の削減から初期コストを引いた値です。帯は 95 % 区間で、線が 0 と交わるところで回収が終わります。",
    ),
    "payback_grams": Bilingual("Payback in grams", "CO₂e での回収"),
    "payback_money": Bilingual("Payback in money", "費用での回収"),
    "payback_pays_back": Bilingual("pays back", "回収できる"),
    "payback_never": Bilingual("never: nothing is saved", "回収できない(削減がない)"),
    "never": Bilingual("never", "なし"),
    "payback_uncertain": Bilingual("cannot be told: the interval contains 0", "判断できない(区間が 0 を含む)"),
    "payback_unknown": Bilingual("not known", "不明"),
    "in_grams": Bilingual("CO₂e", "CO₂e 排出量"),
    "one_off": Bilingual("What is paid once", "一度だけかかるもの"),
    "tasks": Bilingual("Task by task", "課題ごとの結果"),
    "heat_title": Bilingual("Which tasks are solved", "解けた課題"),
    "heat_lead": Bilingual(
        "One bar per task, the easiest at the left. The height, and the shade, are the share of accepted attempts.",
        "1 本の棒が 1 つの課題で、左ほど易しい課題です。高さと濃さは合格した試行の割合を表します。",
    ),
    "tasks_table": Bilingual("All tasks: {rows} rows", "全課題: {rows} 行"),
    "tasks_lead": Bilingual(
        "Verdicts are in sample order. Costs are means over the task's attempts.",
        "判定は試料の順です。コストは課題の試行の平均です。",
    ),
    "green_capacity": Bilingual("Green Capacity", "グリーンキャパシティ (Green Capacity)"),
    "green_lead": Bilingual(
        "Accepted samples beside the task's own solution: reference / sample, geometric mean over tasks. Above 1 the "
        "sample is leaner. Correctness stands apart.",
        "合格した試料を課題の模範解答と比べます。値は 模範解答 / 試料 の課題間の幾何平均で、"
        "1 より大きければ試料のほうが軽いことを表します。正しさは別に示します。",
    ),
    "balance": Bilingual("Energy of the machine", "計算機全体のエネルギー"),
    "balance_lead": Bilingual(
        "Where the energy of the whole machine went while the run went on: {total} J in {seconds} s, by {meter}.",
        "実行中に計算機全体のエネルギーがどこへ使われたか。{seconds} 秒間で {total} J({meter} による)。",
    ),
    "balance_disturbed": Bilingual(
        "{percent} % of the energy above idle was other processes'. Shares by CPU time are rough then; measure on a "
        "quiet machine.",
        "アイドル時を超えるエネルギーの {percent} % は他のプロセスによるものです。"
        "CPU 時間による按分は粗くなるため、他の負荷のない計算機で測定してください。",
    ),
    "balance_model": Bilingual(
        "A model of the CPU's power stands in for counters, which could not be read.",
        "カウンターを読めなかったため、CPU 電力のモデルで代用しています。",
    ),
    "balance_invalid": Bilingual("Windows left out: {count} ({reason})", "除外した測定区間: {count}({reason})"),
    "methods": Bilingual("Methods and provenance", "方法と出所"),
    "formulas": Bilingual("Formulas", "計算式"),
    "provenance": Bilingual("Where each figure comes from", "各数値の出所"),
    "assumptions": Bilingual("Assumptions", "前提"),
    "regions": Bilingual("The same joules on other grids", "他の電力系統の場合"),
    "regions_lead": Bilingual(
        "CO₂e per accepted solution if both sites stood there, in {unit}.",
        "両方の設置場所がその地域にあった場合の、合格 1 件あたりの CO₂e({unit})。",
    ),
    "explanations": Bilingual("Formulas with these numbers", "数値を代入した計算式"),
    "cautions": Bilingual("Cautions", "注意"),
    "run_facts": Bilingual("This run", "この実行について"),
    "run_facts_lead": Bilingual(
        "Versions, host, sandbox, meter, protocol and options, as the run recorded them.",
        "バージョン、計算機、サンドボックス、計測器、測定手順、オプション(実行時の記録のとおり)。",
    ),
    "raw": Bilingual("Raw numbers", "生データ"),
    "raw_lead": Bilingual(
        "The report as JSON, unrounded: what the figures above were made from.",
        "丸めていない JSON 形式の報告です。上の数値はここから作られています。",
    ),
    "raw_of": Bilingual("Raw numbers of {letter}", "{letter} の生データ"),
    "raw_run": Bilingual("Raw facts of the run", "実行全体の生データ"),
    "quarantined": Bilingual("Quarantined tasks", "除外された課題"),
    "quarantined_lead": Bilingual(
        "Tasks that failed their own solution. They are counted nowhere.",
        "自身の模範解答が不合格になった課題です。どこにも数えません。",
    ),
    "gate": Bilingual("Gate", "ゲート判定"),
    # The summary.
    "lead_known": Bilingual(
        "With {name}, an accepted solution costs {value} {unit} CO₂e{interval}. {solved} % of tasks are "
        "solved{within}.",
        "{name} では、合格した解 1 件あたり {value} {unit} CO₂e{interval} です。"
        "{within}課題の {solved} % が解けました。",
    ),
    "lead_none": Bilingual(
        "Nothing was accepted from {name}: an accepted solution costs more than {value} {unit} CO₂e (95 % lower "
        "bound).",
        "{name} は 1 件も合格していません。合格 1 件あたり {value} {unit} CO₂e を超えます(95 % 下限)。",
    ),
    "lead_unknown": Bilingual(
        "The carbon of {name} is not known: {reason}.",
        "{name} のカーボンは不明です({reason})。",
    ),
    "lead_more": Bilingual("{count} more stand in the table below.", "ほか {count} 件は下の表にあります。"),
    "within": Bilingual(" within {k} attempts", "最大 {k} 回の試行で、"),
    "empty": Bilingual("no attempts", "試行がありません"),
    "empty_lead": Bilingual(
        "This run has no attempt to account for. Give pytest a samples file: pytest --greencode runs/*.jsonl",
        "この実行には集計する試行がありません。試料ファイルを渡してください: pytest --greencode runs/*.jsonl",
    ),
    "no_finished": Bilingual(
        "No attempt has finished, so there is nothing to account for.",
        "終了した試行がないため、集計できません。",
    ),
    "counts": Bilingual("{tasks} tasks, up to {k} attempts each", "課題 {tasks} 件、各最大 {k} 回の試行"),
    "counts_one": Bilingual("{tasks} tasks, one attempt each", "課題 {tasks} 件、各 1 回の試行"),
    "counts_plain": Bilingual("{tasks} tasks", "課題 {tasks} 件"),
    "configuration": Bilingual("Configuration", "構成"),
    "carbon_per_accepted": Bilingual("{unit} CO₂e per accepted", "合格 1 件の CO₂e({unit})"),
    "unit_per_accepted": Bilingual("{unit} CO₂e per accepted", "{unit} CO₂e / 合格 1 件"),
    "interval_95": Bilingual("95 % interval", "95 % 区間"),
    "accepted": Bilingual("accepted / attempts", "合格 / 試行"),
    "pass_at": Bilingual("pass@{k}", "pass@{k}"),
    "energy_per_accepted": Bilingual("J per accepted", "合格 1 件の J"),
    "waste": Bilingual("Wasted", "無駄"),
    "money_per_accepted": Bilingual("Money per accepted", "合格 1 件の費用"),
    "human_work": Bilingual("The same by a person", "人が行う場合"),
    "minutes": Bilingual("{minutes} min", "{minutes} 分"),
    "human_carbon": Bilingual("{value} {unit} CO₂e", "{value} {unit} CO₂e"),
    "equals_human": Bilingual("= {seconds} s of a workstation", "= ワークステーション {seconds} 秒分"),
    "systematic": Bilingual("factors: {low} to {high}", "係数の幅: {low}~{high}"),
    "embodied_of": Bilingual("embodied {share} %", "うち埋め込み {share} %"),
    "on_front": Bilingual("on the front", "フロント上"),
    "headline_note": Bilingual(
        "95 % intervals are over tasks like these. Each figure leads to where it comes from.",
        "95 % 区間は同種の課題に対するものです。各数値から出所をたどれます。",
    ),
    "notes": Bilingual("What to know", "留意点"),
    # Notes.
    "note_unfinished": Bilingual(
        "{count} of {planned} attempts not run, or not to the end", "試行 {planned} 件中 {count} 件が未実行または未完了"
    ),
    "note_harness": Bilingual(
        "{count} attempts failed by the harness, not counted", "検証基盤の不具合による {count} 件は数えていません"
    ),
    "note_left_out": Bilingual("{count} tasks left out: {tasks}", "除外した課題 {count} 件: {tasks}"),
    "note_extraction": Bilingual(
        "{count} of {attempts} replies had to be reduced to their code ({rules})",
        "応答 {attempts} 件中 {count} 件はコード部分の抽出が必要でした({rules})",
    ),
    "note_flaky": Bilingual(
        "{count} attempts gave different verdicts when repeated", "{count} 件は再実行で判定が変わりました"
    ),
    "note_same": Bilingual(
        "all samples of every task are the same program: retries only waste",
        "どの課題でも試料がすべて同じプログラムです。再試行は無駄になるだけです",
    ),
    "note_hardware": Bilingual("generated on {hardware}", "生成に使った GPU: {hardware}"),
    # An ordinary test suite.
    "tests_title": Bilingual("Energy per passing test", "合格したテスト 1 件あたりのエネルギー"),
    "tests_subtitle": Bilingual(
        "What every run of every test used, failed ones included, divided by the tests that passed.",
        "失敗も含めたすべてのテスト実行の使用量を、合格したテストの数で割った値です。",
    ),
    "tests": Bilingual("Test suite", "テストスイート"),
    "tests_counts": Bilingual("tests: {tests}, passing: {passing}", "テスト {tests} 件、合格 {passing} 件"),
    "tests_lead": Bilingual(
        "A passing test costs {energy} and {grams} CO₂e. Of {tests} tests {passing} passed.",
        "合格したテスト 1 件あたり {energy}、CO₂e は {grams} です。テスト {tests} 件中 {passing} 件が合格しました。",
    ),
    "tests_lead_energy": Bilingual(
        "A passing test costs {energy}. Of {tests} tests {passing} passed.",
        "合格したテスト 1 件あたり {energy} です。テスト {tests} 件中 {passing} 件が合格しました。",
    ),
    "tests_lead_unknown": Bilingual(
        "The energy per passing test is not known: {reason}.",
        "合格したテスト 1 件あたりのエネルギーは不明です({reason})。",
    ),
    "tests_method": Bilingual("Energy: {method} ({source}).", "エネルギー: {method}({source})。"),
    "tests_cautions": Bilingual("Cautions: {count}", "注意: {count} 件"),
    "tests_note": Bilingual(
        "Runs that failed, were run again or were skipped are paid for by the tests that passed. pytest itself is "
        "apart. The large number leads to where it comes from.",
        "失敗、再実行、スキップした実行の分は合格したテストが負担します。pytest 自身の分は含みません。"
        "大きな数値から出所をたどれます。",
    ),
    "operational_embodied": Bilingual(
        "operational {operational}, embodied {embodied}", "運用 {operational}、埋め込み {embodied}"
    ),
    "note_not_run": Bilingual(
        "{count} of {selected} selected tests did not run, or were not recorded",
        "選択されたテスト {selected} 件中 {count} 件は実行または記録されていません",
    ),
    "note_lost": Bilingual("no reading of {names}", "測定値がないテスト: {names}"),
    "note_unsteady": Bilingual(
        "a repetition failed, though the test passed: {names}", "テストは合格したが反復の一部が失敗: {names}"
    ),
    "note_repeated": Bilingual(
        "95 % intervals are of these very tests, over their repeated calls",
        "95 % 区間はこれらのテストの反復実行に対するものです",
    ),
    "note_no_interval": Bilingual(
        "an interval needs every passing test repeated: --greencode-repeat 5",
        "区間を得るには合格するすべてのテストの反復が必要です: --greencode-repeat 5",
    ),
    "tests_spent": Bilingual("Where the tests' energy went", "テストのエネルギーの内訳"),
    "tests_spent_lead": Bilingual(
        "By what became of each run. pytest itself (collecting, plugins, reporting) and repetitions made to measure "
        "are beside the tests and in no headline.",
        "実行の結果ごとの内訳です。pytest 自身(収集、プラグイン、報告)と測定のための反復は別掲で、主指標に含めません。",
    ),
    "tests_costliest": Bilingual("The costliest tests", "使用量の多いテスト"),
    "tests_harness": Bilingual("pytest itself", "pytest 自身"),
    "tests_all": Bilingual("All tests", "全テスト"),
    "tests_table": Bilingual("The costliest first: {rows} rows", "使用量の多い順: {rows} 行"),
    "tests_table_lead": Bilingual(
        "CPU time of all runs of a test by phase, and its energy. Under Test, the order is that of the run.",
        "テストの全実行の CPU 時間(段階別)とエネルギーです。テスト名で並べ替えると実行順になります。",
    ),
    "tests_left_out": Bilingual(
        "{count} more, which used less, stand in the raw numbers.", "使用量の少ない {count} 件は生データにあります。"
    ),
    "tests_raw_left": Bilingual(
        "Left out here, as they used less: {tests} tests, {blocks} blocks. The JSON report has all.",
        "使用量の少ないテスト {tests} 件と区間 {blocks} 件はここでは省いています。JSON の報告にはすべてあります。",
    ),
    "tests_flaky": Bilingual("flaky", "不安定"),
    "times_repeated": Bilingual("repeated: {count}", "反復 {count} 回"),
    "tests_left_behind": Bilingual("Left running", "終了後も残ったプロセス"),
    "tests_left_lead": Bilingual(
        "Processes that outlived the test which started them. What they used afterwards is in the headline, and in no "
        "test's figure.",
        "起動したテストの終了後も動き続けたプロセスです。その後の使用量は主指標に含め、どのテストの値にも含めません。",
    ),
    "tests_blocks": Bilingual("Measured blocks", "測定した区間"),
    "tests_blocks_lead": Bilingual(
        "Stretches within tests that greencode.measure(...) names; they are in their tests' figures.",
        "テスト内で greencode.measure(...) が名付けた区間です。各テストの値に含まれます。",
    ),
    "raw_tests": Bilingual("Raw numbers of the tests", "テストの生データ"),
    "scope_tests": Bilingual(
        "Counted: setup, call and teardown of every run of every test, their threads and child processes, and what "
        "they left running. Not counted: services elsewhere, people's devices.",
        "数えるもの: 全テストの全実行の setup、call、teardown(スレッドと子プロセスを含む)と、残されたプロセス。"
        "数えないもの: 他所のサービス、利用者の端末。",
    ),
    "source_cpu": Bilingual("the kernel's clocks of threads and processes", "カーネルのスレッド・プロセス時計"),
    "source_sum": Bilingual("operational + embodied", "運用 + 埋め込み"),
    # Charts.
    "axis_carbon": Bilingual("{unit} CO₂e per accepted solution", "合格 1 件あたりの CO₂e({unit})"),
    "axis_carbon_run": Bilingual("{unit} CO₂e, all attempts", "全試行の CO₂e({unit})"),
    "axis_pass": Bilingual("tasks solved, %", "解けた課題の割合(%)"),
    "axis_k": Bilingual("attempts allowed, k", "許した試行回数 k"),
    "axis_ratio": Bilingual("ratio of CO₂e per accepted solution", "合格 1 件あたりの CO₂e の比"),
    "axis_green": Bilingual("reference / sample", "模範解答 / 試料"),
    "axis_months": Bilingual("months in use", "利用月数"),
    "axis_solutions": Bilingual("accepted solutions", "合格した解の数"),
    "axis_saved": Bilingual("saved, less the one-off cost ({unit})", "累計の削減 - 初期コスト({unit})"),
    "axis_share": Bilingual("share of the grams, %", "カーボンの割合(%)"),
    "axis_energy": Bilingual("energy, J", "エネルギー(J)"),
    "axis_tests_energy": Bilingual("energy, {unit}J", "エネルギー({unit}J)"),
    "axis_tests_cpu": Bilingual("CPU time, {unit}s", "CPU 時間({unit}s)"),
    "axis_tasks": Bilingual("tasks, easiest first", "課題(易しい順)"),
    "log_scale": Bilingual("logarithmic", "対数目盛"),
    "chart_R": Bilingual("CO₂e per accepted solution", "合格 1 件あたりの CO₂e"),
    "chart_P": Bilingual("Tasks solved (pass@k)", "解けた課題の割合 (pass@k)"),
    "front": Bilingual("Pareto front", "パレートフロント"),
    "share": Bilingual("accepted, %", "合格率(%)"),
    "not_in_figure": Bilingual("Not in the figure, as not known: {names}", "不明のため図にないもの: {names}"),
    # The history.
    "history_title": Bilingual("Key figures from run to run", "実行ごとの主要な数値"),
    "history_subtitle": Bilingual(
        "Per accepted solution or passing test, failed attempts included. Bars are 95 % intervals: over tasks like "
        "these, or of the noise of repeated tests.",
        "合格した解またはテスト 1 件あたり(失敗した試行を含む)の値です。棒は 95 % 区間で、同種の課題、または"
        "テストの繰り返しのばらつきに対するものです。",
    ),
    "history_none": Bilingual("No run with key figures.", "数値のある実行がありません。"),
    "history_no_steps": Bilingual("No steps.", "段差はありません。"),
    "history_step": Bilingual("{name}: {figure} {size}, in {run} ({by})", "{name}: {run} で {figure} {size}({by})"),
    "history_all": Bilingual(
        "{name}: {figure} {size} since the first of these runs ({by})",
        "{name}: これらの最初の実行から {figure} {size}({by})",
    ),
    "paired": Bilingual("paired by task", "課題ごとに対応づけ"),
    "paired_by_test": Bilingual("paired by test", "テストごとに対応づけ"),
    "unpaired": Bilingual("not paired", "対応づけなし"),
    "history_rule": Bilingual(
        "A step is a change from the run before whose 95 % interval lies wholly beyond {margin} (for shares: beyond "
        "none). That two runs of the same samples differ with the machine's state is in no interval. Runs stand at "
        "equal distances; another grid, k or number of tasks begins another series.",
        "段差とは、直前の実行からの変化の 95 % 区間全体が {margin} を超えるもの(割合では 0 を含まないもの)です。"
        "計算機の状態による同じサンプルの実行間の違いはどの区間にも含まれません。実行は等間隔に並べています。"
        "電力系統、k、課題数が変わると別の系列になります。",
    ),
    "history_rule_tests": Bilingual(
        "Of ordinary tests, those of both runs are compared. A step is beyond the margin of its series, which the runs "
        "themselves show, and this run and the next are apart from both before. Runs stand at equal distances; other "
        "conditions, another grid or another selection of tests begin another series.",
        "通常のテストは、両方の実行にあるものどうしを比べます。段差とは、実行どうしのばらつきから決まる系列ごとの幅"
        "を超え、かつ当の実行と次の実行がともに直前の 2 回の実行と異なるものです。実行は等間隔に並べています。"
        "測定条件、電力系統、テストの選び方が変わると別の系列になります。",
    ),
    "history_runs": Bilingual("Runs: {count}", "実行 {count} 回"),
    "history_of": Bilingual("{suite}, k = {k}, {tasks} tasks", "{suite}、k = {k}、課題 {tasks} 件"),
    "history_of_tests": Bilingual(
        "{passing} of {count} tests passing; {conditions}.{margin}",
        "テスト {count} 件中 {passing} 件合格。{conditions}。{margin}",
    ),
    "history_margin": Bilingual(" Margin {margin}.", "幅 {margin}。"),
    "history_given": Bilingual("{margin}, as given", "{margin}(指定された値)"),
    "history_assumed": Bilingual(
        "{margin}, assumed in part: {known} of {enough} changes that would show it",
        "{margin}(一部は仮定。必要な変化 {enough} 件のうち {known} 件)",
    ),
    "history_shown": Bilingual(
        "{margin}: three times the middle one of {known} changes", "{margin}(変化 {known} 件の中央値の 3 倍)"
    ),
    "history_latest": Bilingual("the next run has to confirm it", "次の実行で確認が必要"),
    "column_run": Bilingual("Run", "実行"),
    "measure_co2e": Bilingual("CO₂e per accepted solution", "合格 1 件あたりの CO₂e"),
    "measure_energy": Bilingual("energy per accepted solution", "合格 1 件あたりのエネルギー"),
    "measure_money": Bilingual("money per accepted solution", "合格 1 件あたりの費用"),
    "measure_pass": Bilingual("tasks solved (pass@k)", "解けた課題の割合 (pass@k)"),
    "measure_energy_of_tests": Bilingual("energy per passing test", "合格したテスト 1 件あたりのエネルギー"),
    "measure_cpu": Bilingual("CPU time per passing test", "合格したテスト 1 件あたりの CPU 時間"),
    "measure_passing": Bilingual("passing tests", "合格したテスト"),
    "unit_energy_of_tests": Bilingual("{unit}J per passing test", "合格したテスト 1 件の {unit}J"),
    "unit_cpu": Bilingual("CPU {unit}s per passing test", "合格したテスト 1 件の CPU 時間({unit}s)"),
    "measure_waste": Bilingual("wasted share", "無駄になった割合"),
    # Parts.
    "part_generation": Bilingual("generation", "生成"),
    "part_execution": Bilingual("execution", "実行"),
    "part_harness": Bilingual("harness (beside)", "検証基盤(別掲)"),
    "harness": Bilingual("harness", "検証基盤"),
    "part_embodied": Bilingual("embodied", "埋め込み"),
    "part_embodied_generation": Bilingual("embodied, generation", "埋め込み(生成)"),
    "part_embodied_execution": Bilingual("embodied, execution", "埋め込み(実行)"),
    "part_useful": Bilingual("accepted attempts", "合格した試行"),
    "part_retried": Bilingual("failed attempts, task solved", "失敗した試行(課題は解けた)"),
    "part_unsolved": Bilingual("tasks never solved", "解けなかった課題"),
    "part_solutions": Bilingual("solutions", "解"),
    "part_tests": Bilingual("tests", "テスト"),
    "part_both": Bilingual("solutions and tests", "解とテスト"),
    "part_repetitions": Bilingual("repetitions", "反復測定"),
    "part_others": Bilingual("other processes", "他のプロセス"),
    "part_idle_reserved": Bilingual("idle, cores of this run", "アイドル(この実行のコア)"),
    "part_idle_rest": Bilingual("idle, other cores", "アイドル(他のコア)"),
    "part_dram": Bilingual("DRAM (besides)", "DRAM(別掲)"),
    "total": Bilingual("total", "合計"),
    "part_passed": Bilingual("passed", "合格"),
    "part_failed": Bilingual("failed", "失敗"),
    "part_error": Bilingual("error", "エラー"),
    "part_rerun": Bilingual("run again", "再実行された実行"),
    "part_xfailed": Bilingual("expected to fail", "想定どおりの失敗"),
    "part_xpassed": Bilingual("passed unexpectedly", "想定外の合格"),
    "part_skipped": Bilingual("skipped", "スキップ"),
    "part_interrupted": Bilingual("interrupted", "中断"),
    "part_background": Bilingual("left running", "残されたプロセス"),
    "part_setup": Bilingual("setup", "準備 (setup)"),
    "part_call": Bilingual("call", "本体 (call)"),
    "part_teardown": Bilingual("teardown", "後始末 (teardown)"),
    # Tables.
    "filter": Bilingual("Filter by task or configuration", "課題または構成で絞り込み"),
    "filter_all": Bilingual("all", "すべて"),
    "filter_never": Bilingual("never accepted", "合格なし"),
    "filter_some": Bilingual("sometimes accepted", "一部合格"),
    "filter_always": Bilingual("always accepted", "すべて合格"),
    "filter_tests": Bilingual("Filter by test or outcome", "テストまたは結果で絞り込み"),
    "filter_passed": Bilingual("passed", "合格"),
    "filter_failed": Bilingual("failed", "失敗"),
    "filter_other": Bilingual("other", "その他"),
    "filter_shown": Bilingual("rows shown", "行を表示"),
    "column_task": Bilingual("Task", "課題"),
    "column_test": Bilingual("Test", "テスト"),
    "column_outcome": Bilingual("Outcome", "結果"),
    "column_runs": Bilingual("Runs", "実行回数"),
    "column_setup": Bilingual("setup {unit}s", "準備 {unit}s"),
    "column_call": Bilingual("call {unit}s", "本体 {unit}s"),
    "column_teardown": Bilingual("teardown {unit}s", "後始末 {unit}s"),
    "column_cpu": Bilingual("CPU {unit}s", "CPU 時間 {unit}s"),
    "column_energy": Bilingual("{unit}J", "エネルギー {unit}J"),
    "column_tests": Bilingual("Tests", "テスト数"),
    "column_block": Bilingual("Block", "区間"),
    "column_process": Bilingual("Process", "プロセス"),
    "column_per_test_energy": Bilingual("{unit}J per passing test", "合格 1 件の {unit}J"),
    "column_per_test_cpu": Bilingual("CPU {unit}s per passing test", "合格 1 件の CPU 時間({unit}s)"),
    "column_per_test_grams": Bilingual("{unit} CO₂e per passing test", "合格 1 件の CO₂e({unit})"),
    "column_passing": Bilingual("Passing / tests", "合格 / テスト"),
    "column_wasted": Bilingual("Wasted, %", "無駄(%)"),
    "column_accepted": Bilingual("Accepted", "合格"),
    "column_verdicts": Bilingual("Verdicts", "判定"),
    "column_g_attempt": Bilingual("{unit} CO₂e per attempt", "試行あたり {unit} CO₂e"),
    "column_g_accepted": Bilingual("of accepted", "合格した試行"),
    "column_g_failed": Bilingual("of failed", "失敗した試行"),
    "column_j_attempt": Bilingual("J per attempt", "試行あたり J"),
    "column_k": Bilingual("k", "k"),
    "column_kappa": Bilingual("attempts per accepted (κ)", "合格あたりの試行数 (κ)"),
    "column_pair": Bilingual("First / second", "前者 / 後者"),
    "column_ratio": Bilingual("Ratio", "比"),
    "column_pass_difference": Bilingual("pass@k, points", "pass@k の差(ポイント)"),
    "column_tasks": Bilingual("Tasks", "課題数"),
    "column_beside": Bilingual("CO₂e beside {name}, ratio", "{name} に対する CO₂e の比"),
    "column_why_not": Bilingual("Why not", "採用しない理由"),
    "column_way": Bilingual("Way", "手段"),
    "column_way_grams": Bilingual("{unit} CO₂e a solution", "解 1 件の CO₂e({unit})"),
    "column_way_money": Bilingual("{unit} a solution", "解 1 件の費用({unit})"),
    "column_way_share": Bilingual("of that, %", "その割合(%)"),
    "column_break_even_rate": Bilingual("even at a pass rate of, %", "等しくなる合格率(%)"),
    "column_first": Bilingual("First (attempts)", "前者(試行回数)"),
    "column_then": Bilingual("Then (attempts)", "後者(試行回数)"),
    "column_solved": Bilingual("Solved, %", "解けた課題(%)"),
    "column_beside_second": Bilingual("CO₂e beside the second alone, ratio", "後者単独に対する CO₂e の比"),
    "column_calls": Bilingual("Calls", "呼び出し"),
    "column_solutions": Bilingual("Accepted", "合格した解"),
    "column_kwh": Bilingual("Electricity, kWh", "電力量(kWh)"),
    "column_month_grams": Bilingual("CO₂e, {unit}", "CO₂e 排出量({unit})"),
    "column_by": Bilingual("Accepted by", "合格数の根拠"),
    "column_unit": Bilingual("In", "単位"),
    "column_one_off": Bilingual("One-off cost", "初期コスト"),
    "column_saved": Bilingual("Saved per accepted", "合格 1 件の削減"),
    "column_after_solutions": Bilingual("Accepted until even", "回収までの合格数"),
    "column_after_months": Bilingual("Months until even", "回収までの月数"),
    "column_verdict": Bilingual("Reading", "読み方"),
    "column_decision": Bilingual("Decision", "判定"),
    "column_factor": Bilingual("Factor", "因子"),
    "column_levels": Bilingual("Levels", "水準"),
    "column_pairs": Bilingual("Pairs", "組数"),
    "column_correctness": Bilingual("Correctness, %", "正しさ(%)"),
    "column_leaner": Bilingual("leaner", "軽い"),
    "column_heavier": Bilingual("heavier", "重い"),
    "column_mixed": Bilingual("mixed", "一長一短"),
    "column_same": Bilingual("same", "同等"),
    "column_figure": Bilingual("Figure", "数値"),
    "column_value": Bilingual("Value", "値"),
    "column_method": Bilingual("Method", "方法"),
    "column_source": Bilingual("Source", "出典"),
    "column_region": Bilingual("Region", "地域"),
    "column_intensity": Bilingual("g CO₂e/kWh", "g CO₂e/kWh"),
    "column_assumption": Bilingual("Assumption", "前提"),
    "column_what": Bilingual("What", "内容"),
    "column_why": Bilingual("Why it matters", "理由"),
    "column_remedy": Bilingual("What to do", "対処"),
    "column_key": Bilingual("Key", "項目"),
    "column_reason": Bilingual("Reason", "理由"),
    "column_rule": Bilingual("Rule", "規則"),
    "column_limit": Bilingual("Limit", "上限"),
    "column_part": Bilingual("Part", "内訳"),
    "column_joules": Bilingual("J", "J"),
    "column_share": Bilingual("Share, %", "割合(%)"),
    "column_formula": Bilingual("Formula", "計算式"),
    "distinguishable_less": Bilingual("first needs less", "前者のほうが少ない"),
    "distinguishable_more": Bilingual("first needs more", "前者のほうが多い"),
    "not_distinguishable": Bilingual("not distinguishable", "区別できない"),
    "not_robust": Bilingual(
        "not distinguishable once grid, machines and meters are counted",
        "電力網・機器・計測の不確かさを含めると区別できない",
    ),
    "unknown": Bilingual("not known", "不明"),
    "decision_pass": Bilingual("pass", "合格"),
    "decision_fail": Bilingual("fail", "不合格"),
    "decision_inconclusive": Bilingual("inconclusive", "判定不能"),
    "decision_not_evaluated": Bilingual("not evaluated", "未評価"),
    "indicator_run_time_s": Bilingual("run time", "実行時間"),
    "indicator_peak_memory_bytes": Bilingual("memory", "メモリ"),
    "indicator_energy_j": Bilingual("energy", "エネルギー"),
    "indicator_flops": Bilingual("FLOPs", "FLOPs"),
    "green_scalar": Bilingual(
        "{name}: weighted mean of log ratios {value} ({weights})", "{name}: 対数比の加重平均 {value}({weights})"
    ),
    # Verdicts.
    "verdict_accepted": Bilingual("accepted", "合格"),
    "verdict_rejected": Bilingual("rejected", "不合格"),
    "verdict_timeout": Bilingual("timeout", "時間切れ"),
    "verdict_memory": Bilingual("memory", "メモリ超過"),
    "verdict_output_limit": Bilingual("output limit", "出力超過"),
    "verdict_crashed": Bilingual("crashed", "異常終了"),
    "verdict_malformed": Bilingual("malformed", "形式不正"),
    "verdict_harness_error": Bilingual("harness error, not counted", "検証基盤の不具合(数えない)"),
    "verdict_lost": Bilingual("not finished", "未完了"),
    # Methods.
    "method_measured": Bilingual("measured", "実測"),
    "method_attributed": Bilingual("attributed", "按分"),
    "method_estimated": Bilingual("estimated", "推定"),
    "method_declared": Bilingual("declared", "申告"),
    "method_missing": Bilingual("missing", "不明"),
    # Figures.
    "figure_per_accepted": Bilingual("CO₂e per accepted solution", "合格 1 件あたりの CO₂e"),
    "figure_energy_per_accepted": Bilingual("energy per accepted solution", "合格 1 件あたりのエネルギー"),
    "figure_operational_per_accepted": Bilingual("operational part", "うち運用"),
    "figure_embodied_per_accepted": Bilingual("embodied part", "うち埋め込み"),
    "figure_interval": Bilingual("95 % interval, tasks like these", "95 % 区間(同種の課題)"),
    "figure_this_benchmark": Bilingual("95 % interval, this benchmark", "95 % 区間(このベンチマーク)"),
    "figure_systematic": Bilingual("band of the factors, p5 to p95", "係数の不確かさの幅(p5~p95)"),
    "figure_lower_bound": Bilingual("95 % lower bound", "95 % 下限"),
    "figure_energy_j.generation": Bilingual("energy of generation, all attempts", "生成のエネルギー(全試行)"),
    "figure_energy_j.execution": Bilingual("energy of execution, all attempts", "実行のエネルギー(全試行)"),
    "figure_energy_j.harness": Bilingual("energy of the harness", "検証基盤のエネルギー"),
    "figure_energy_j.total": Bilingual("energy, total", "エネルギー合計"),
    "figure_co2e_g.operational": Bilingual("operational CO₂e, all attempts", "運用時の CO₂e(全試行)"),
    "figure_co2e_g.embodied": Bilingual("embodied CO₂e, all attempts", "埋め込み CO₂e(全試行)"),
    "figure_co2e_g.embodied_generation": Bilingual("embodied CO₂e of generation", "埋め込み CO₂e(生成)"),
    "figure_co2e_g.embodied_execution": Bilingual("embodied CO₂e of execution", "埋め込み CO₂e(実行)"),
    "figure_co2e_g.harness": Bilingual("CO₂e of the harness", "検証基盤の CO₂e"),
    "figure_pool": Bilingual("everything spent / everything accepted", "全消費 / 全合格"),
    "figure_waste_share": Bilingual("wasted share", "無駄になった割合"),
    "figure_unsolved_share": Bilingual("share of tasks never solved", "解けなかった課題の割合"),
    "figure_kappa": Bilingual("correctness coefficient κ", "正確性係数 κ"),
    "figure_per_test": Bilingual("energy per passing test", "合格したテスト 1 件あたりのエネルギー"),
    "figure_per_test_interval": Bilingual("its 95 % interval, these tests", "その 95 % 区間(これらのテスト)"),
    "figure_per_test_cpu": Bilingual("CPU time per passing test", "合格したテスト 1 件あたりの CPU 時間"),
    "figure_per_test_cpu_interval": Bilingual("its 95 % interval, these tests", "その 95 % 区間(これらのテスト)"),
    "figure_per_test_grams": Bilingual("CO₂e per passing test", "合格したテスト 1 件あたりの CO₂e"),
    "figure_per_test_operational": Bilingual("operational part", "うち運用"),
    "figure_per_test_embodied": Bilingual("embodied part", "うち埋め込み"),
    "figure_tests_energy": Bilingual("energy of all tests", "全テストのエネルギー"),
    "figure_tests_cpu": Bilingual("CPU time of all tests", "全テストの CPU 時間"),
    "figure_repetitions_energy": Bilingual("energy of repetitions", "反復のエネルギー"),
    "figure_pytest_energy": Bilingual("energy of pytest itself", "pytest 自身のエネルギー"),
    "figure_pytest_cpu": Bilingual("CPU time of pytest itself", "pytest 自身の CPU 時間"),
    # Formulas (docs: explanation of the metric).
    "formula_cost": Bilingual("Cost of one attempt", "試行 1 回のコスト"),
    "formula_cost_note": Bilingual(
        "J joules, PUE facility energy over IT energy, I grid intensity in g/kWh; TE embodied grams, EL service life, "
        "t time used. Software Carbon Intensity, ISO/IEC 21031, per accepted solution.",
        "J はジュール、PUE は施設全体と IT 機器のエネルギー比、I は電力の炭素強度(g/kWh)、TE は製造時の排出量、"
        "EL は耐用期間、t は使用時間。合格した解を機能単位とする Software Carbon Intensity(ISO/IEC 21031)です。",
    ),
    "formula_pass": Bilingual("Chance that a task is solved within k attempts", "k 回以内に課題が解ける確率"),
    "formula_pass_note": Bilingual(
        "n attempts of a task, c of them accepted; unbiased (Chen et al. 2021).",
        "n は課題の試行数、c はそのうち合格した数。不偏推定量です(Chen et al. 2021)。",
    ),
    "formula_attempts": Bilingual("Attempts made on average", "平均試行回数"),
    "formula_attempts_note": Bilingual("Tried until accepted, at most k times.", "合格するまで、最大 k 回試行します。"),
    "formula_expected": Bilingual("Expected cost of a task", "課題 1 件の期待コスト"),
    "formula_expected_note": Bilingual(
        "μ_P, μ_F: mean cost of the task's accepted and failed attempts.",
        "μ_P と μ_F は、その課題で合格した試行と失敗した試行の平均コストです。",
    ),
    "formula_headline": Bilingual("Headline: cost per accepted solution", "主指標: 合格した解 1 件あたりのコスト"),
    "formula_headline_note": Bilingual(
        "Sums over tasks. Nothing accepted gives no number but a lower bound, never 0.",
        "課題について和を取ります。1 件も合格しなければ値はなく下限のみで、0 とはしません。",
    ),
    "formula_kappa": Bilingual("Correctness coefficient", "正確性係数"),
    "formula_kappa_note": Bilingual(
        "Attempts per accepted solution, never below 1.", "合格 1 件に要した試行数。1 を下回りません。"
    ),
    "formula_interval": Bilingual("95 % interval", "95 % 区間"),
    "formula_interval_note": Bilingual(
        "Delta method on log R over m tasks, Student's t on m - 1 degrees of freedom.",
        "m 個の課題に対する log R のデルタ法、自由度 m - 1 のスチューデントの t 分布。",
    ),
    "formula_waste": Bilingual("Wasted share", "無駄になった割合"),
    "formula_waste_note": Bilingual(
        "What went into attempts that were thrown away.", "捨てられた試行に費やされた割合です。"
    ),
    "formula_test": Bilingual("Energy per passing test", "合格したテスト 1 件あたりのエネルギー"),
    "formula_test_note": Bilingual(
        "All paid runs of all tests, and what they left running; a repeated test is paid for once, with its mean call.",
        "全テストの全実行と、残されたプロセスの合計です。反復したテストは本体の平均で 1 回分だけ数えます。",
    ),
    "formula_test_grams": Bilingual("Grams per passing test", "合格したテスト 1 件あたりの CO₂e"),
    "formula_test_grams_note": Bilingual(
        "I grid intensity in g/kWh; TE embodied grams, EL service life, t wall time on one hardware thread, share that "
        "thread's. Software Carbon Intensity, ISO/IEC 21031, per passing test.",
        "I は電力の炭素強度(g/kWh)、TE は製造時の排出量、EL は耐用期間、t はハードウェアスレッド 1 本を占める経過時間、"
        "share はその割合。合格したテストを機能単位とする Software Carbon Intensity(ISO/IEC 21031)です。",
    ),
    "formula_test_interval": Bilingual("95 % interval", "95 % 区間"),
    "formula_test_interval_note": Bilingual(
        "s: standard error of a test's mean call; Student's t with Welch's and Satterthwaite's degrees of freedom.",
        "s は各テストの本体の平均の標準誤差。ウェルチとサタスウェイトの自由度によるスチューデントの t 分布を用います。",
    ),
    "formula_test_waste": Bilingual("Wasted share", "無駄になった割合"),
    "formula_test_waste_note": Bilingual(
        "What went into runs of which no passing test came.",
        "合格したテストにつながらなかった実行に費やされた割合です。",
    ),
    "scope": Bilingual(
        "Counted: inference and execution of the attempts. Not counted: training, networks, people's devices.",
        "数えるもの: 試行の推論と実行。数えないもの: 学習、通信網、利用者の端末。",
    ),
    "interactive_note": Bilingual(
        "Figures can be explored: point for values, drag to zoom, double-click to go back, click the legend to hide.",
        "図は操作できます。ポイントで値を表示、ドラッグで拡大、ダブルクリックで元に戻り、凡例のクリックで表示を切り替えます。",
    ),
}


# Reasons (`reasons.ENGLISH`) in Japanese, with the same names.
REASONS: Mapping[str, str] = {
    "no_finished": "終了した試行がない",
    "none_accepted": "合格が 1 件もない",
    "no_headline": "主指標がない",
    "energy_missing": "試行 {attempts} 件中 {count} 件で{part}エネルギーの記録がない",
    "embodied_missing": "試行 {attempts} 件中 {count} 件で埋め込みカーボンが不明",
    "grams_missing": "排出量が不明",
    "tasks_without_energy": "課題 {tasks} 件中 {count} 件でエネルギーの記録がない",
    "task_too_short": "{k} 回まで許すが、{task} の試行は {attempts} 回しかない",
    "a_task_too_short": "{k} 回まで許すが、試行が {attempts} 回しかない課題がある",
    "tasks_too_short": "{k} 回まで許すが、課題 {tasks} 件中 {count} 件では試行がそれより少ない",
    "too_few_tasks": "課題が少なすぎる({tasks} 件。区間には {least} 件必要)",
    "needs_more_attempts": "どの課題にも、許した回数 k より多い試行が必要",
    "not_positive": "コストが正でない",
    "too_wide": "区間が広すぎて何も言えない",
    "spans_everything": "区間が広すぎて何も言えない",
    "chain": "連鎖した試行は引き直せない",
    "tests_lost": "プロセスとともに終わったテストが {count} 件あり、その使用量は不明",
    "runs_without_energy": "エネルギーの不明な実行がある",
    "none_passed": "合格したテストがない",
    "ran_once": "合格したテスト {passing} 件中 {count} 件は 1 回しか実行していない",
    "nothing_varied": "ばらつきがない",
    "other_tests": "テスト、または合格したテストが同じでない",
    "machine_unknown": "機器の埋め込みカーボンが不明",
    "of": "{name}: {reason}",
    "different_suites": "スイートが異なる",
    "no_common_task": "共通の課題がない",
    "no_task_of_all": "すべての構成に共通する課題がない",
    "none_on_common": "共通の課題では合格が 1 件もない",
    "broken_off": "半数以上の構成が持つ課題 {common} 件のうち {own} 件しかない",
    "different_method": "{part}エネルギーは a が{a}、b が{b}",
    "counts_as_logged": "{name} は連鎖した試行であり、記録のとおりに数える",
    "different_hardware": "ハードウェアが異なる: a は {a}、b は {b}",
    "hardware_unknown": "{which} の GPU の記録がない",
    "different_batches": "平均バッチサイズが異なる: a は {a}、b は {b}",
    "different_grids": "電力系統または PUE が異なる: a は {a}、b は {b}",
    "different_machines": "{part}の埋め込みカーボンを求めた機器が異なる: a は {a}、b は {b}",
    "different_times": "{part}の埋め込みカーボンを求めた時間が異なる: a は {a}、b は {b}",
    "otherwise_missing": "課題 {tasks} 件中 {count} 件で、他の手段で解く場合のコストが不明",
    "otherwise_cheaper": "試行するより他の手段で解くほうが少ない",
    "beyond_margin": "その先の試行では、解ける課題が 1 件増えるごとに R_1 の {limit} 倍を超える",
    "within_margin": "そこまでは、解ける課題が 1 件増えるごとに R_1 の {limit} 倍以下",
    "least_resolved": "解けない課題の処理を {grams} として、課題あたりの排出が最小",
    "solves_no_more": "試行を増やしても解ける課題は増えない",
    "all_solved": "それまでにすべての課題が解ける",
    "no_price": "価格が与えられていない",
    "no_records": "試行の使用量が与えられていない",
    "not_recorded": "記録がない",
    "resource_missing": "試行 {attempts} 件中 {count} 件で{resource}の記録がない",
    "not_given": "{name} が与えられていない",
    "not_given_for": "{task} の {name} が与えられていない",
    "emits_nothing": "ワークステーションの排出がない",
    "not_known": "不明",
    "this_run": "この実行",
    "no_one_off": "初期コストが与えられていない",
    "item_without_cost": "one_off.{name}: energy_kwh も co2e_g も与えられていない",
    "harness_unknown": "検証基盤または機器の排出が不明",
    "no_solutions": "1 か月に合格する解がない",
    "no_ratio_interval": "比の区間がない",
    "quality_not_compared": "品質が比較されていない",
    "no_usage": "利用量が与えられていない",
    "no_usage_of_either": "どちらの利用量も与えられていない",
    "money_at_other_k": "費用は {k} とは異なる試行回数で求めている(--attempts {k})",
    "no_accepted_share": "採用された割合が与えられていない",
    "no_rate": "採用された割合も pass@1 も不明",
    "by_accepted_share": "利用時に採用された割合",
    "by_pass_1": "ベンチマークの pass@1",
    "by_statement": "与えられた値",
}
# Words of ours among a reason's values.
_WORDS_JA = {
    "generation": "生成",
    "execution": "実行",
    "measured": "実測",
    "attributed": "按分",
    "estimated": "推定",
    "declared": "申告",
    "missing": "不明",
    "unknown": "不明",
    "a and b": "a と b",
    "recorded time": "記録された時間",
    "wall time": "経過時間",
    "generation_kwh": "生成の電力量",
    "execution_kwh": "実行の電力量",
    "prompt_tokens": "入力トークン数",
    "completion_tokens": "出力トークン数",
    "device_h": "機器の使用時間",
    "machine_h": "計算機の使用時間",
    "duration_s": "所要時間",
}


def reason(text: str) -> Bilingual:
    """A reason in both languages; what is no `Reason` stays as it is in both."""
    return Bilingual(text, _japanese(text)) if isinstance(text, Reason) else plain(text)


def _japanese(found: Reason) -> str:
    values = {
        name: _japanese(value) if isinstance(value, Reason) else _WORDS_JA.get(str(value), value)
        for name, value in found.values.items()
    }
    return REASONS[found.code].format(**values) if found.code else "、".join(map(str, values.values()))
