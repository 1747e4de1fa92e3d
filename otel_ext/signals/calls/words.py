"""The words that tell what a tool does, by its name.

Law of this file: data only. A word is listed where its plain meaning holds for tools in general; what is
listed nowhere stays unknown, which is the safe answer.
"""

from typing import Final


def words(text: str) -> frozenset[str]:
    """The words of a text; a list that stays readable."""
    return frozenset(text.split())


READ: Final = words(
    "calculate check compare count describe diff download explain fetch find get glob grep head inspect list "
    "lookup ls open parse peek query read retrieve scan scrape search select show stat summarize view"
)
"""Asks, and leaves the world as it was."""

WRITE: Final = words(
    "add append apply approve assign book buy cancel close commit copy create delete deploy disable drop "
    "edit enable insert install kill merge modify move order overwrite patch pay post publish purchase "
    "push put refund remove rename replace reply reserve reset restart revert save schedule send set "
    "start stop store submit transfer truncate uninstall update upload upsert write"
)
"""Changes something that others, or the agent itself, may read later."""

AMBIGUOUS: Final = words(
    "book buy cancel close commit copy deploy drop install merge move order patch pay post publish purchase "
    "push refund reply reserve reset restart revert schedule start stop store submit transfer upload"
)
"""Words of `WRITE` that in first place may as well name a thing ("order_status", "book_search")."""

READ_NOUNS: Final = words("detail details history info information locator metadata overview profile summary")
"""Things that are asked for; they decide only where no verb does."""

POLL: Final = words("logs poll progress status tail wait watch")
"""Asks after something that changes by itself (precision rule 6)."""

POLL_NAMES: Final = words("bash_output get_task_output read_output task_output")
"""Whole names of tools that read on from something that is still running."""

EXEMPT: Final = words(
    "answer attempt_completion ask_user complete_task done exit_plan_mode final_answer finish plan_status "
    "reasoning respond return_final_answer sequentialthinking sequential_thinking sleep task_complete "
    "task_done think thinking todo_read todo_write todoread todowrite update_plan update_todo_list "
    "wait"
)
"""Whole names: repetition of these says nothing (precision rule 10)."""

SHELLS: Final = words(
    "bash bash_tool cmd exec exec_command execute_bash execute_command execute_shell local_shell powershell "
    "run_bash run_command run_in_terminal run_shell run_shell_command run_terminal_cmd shell shell_command "
    "shell_exec terminal"
)
"""Whole names of tools that run a command line."""

CODE: Final = words("code exec execute interpreter ipython jupyter notebook python repl script terminal")
"""Parts of the names of tools that run code."""

ADDING: Final = words(
    "add append book buy charge create donate insert invite issue order pay place post publish purchase "
    "refund reply reserve schedule send submit transfer"
)
"""Writes that do their work anew each time."""

ONCE: Final = words(
    "client_request_id client_token clienttoken clientrequestid dedup_id dedupe_id dedupe_key "
    "idempotency_key idempotencykey idempotency_token nonce request_id requestid"
)
"""Arguments, in lower case, by which the other side tells a call that was made before."""

LABELS: Final = words("description explanation intent reason thought timeout")
"""Arguments that models word anew for the same call (precision rule 11)."""

WAITING_STATES: Final = words(
    "building created in_progress in-progress pending processing provisioning queued running scheduled "
    "starting submitted waiting"
)
"""Values of a status field that say: not finished, ask again."""

SAYS_NOTHING: Final = words(
    "toolerror runtimeerror toolexception toolexecutionerror other "
    "a an and any at by call code command error errors exception execution exit exitcode exited fail "
    "failed failing failure fatal for from has in internal is iserror it non nonzero not occurred of ok "
    "process reported result return returncode returned run running script some something status "
    "successfully that the this to tool unexpected unknown unsuccessful was went with wrong zero"
)
"""Words of a failure that only says that something failed."""
