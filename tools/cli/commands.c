/* SPDX-License-Identifier: MIT */
/* The table of commands: the one place where each is described.
 *
 * Threads: constant.
 */
#include <string.h>

#include "nauha/recorder.h"
#include "nauha/selector.h"
#include "tools/cli/command.h"
#include "tools/train/train.h"

static const struct option_group recording_options = {"Recording", nauha_recorder_options, NULL};
static const struct option_group training_options = {"Training", nauha_train_option_table, NULL};
/* Every rank writes a trace of its own. */
static const struct option_group selected_options = {"Choosing what is recorded",
                                                     nauha_selector_options, "rank"};
/* --epochs of a training says how long it lasts. */
static const struct option_group recorded_options = {"Choosing what is recorded",
                                                     nauha_selector_options, "epochs"};

const struct command nauha__commands[] = {
    {.name = "record",
     .summary = "run a PyTorch program unchanged and record its training",
     .arguments = "[--] PROGRAM [ARGUMENT...]",
     .description =
         "Runs the program as it is. As soon as it imports torch, the model that is trained, its "
         "loss, labels, optimizers and epochs are found by themselves, and every message of the "
         "training is written to a trace. The program's exit code, signals, input and output are "
         "its own. Each process of a distributed training writes a trace of its own, run.rank0.h5 "
         "and so on; \"nauha replay run.rank*.h5\" puts them together. With --estimate the program "
         "ends after a few steps, and what a recording of it takes is printed.",
     .examples = "nauha record --estimate 5 -- python3 train.py --epochs 3\n"
                 "nauha record -o run.h5 -- python3 train.py --epochs 3\n"
                 "nauha record -o run.h5 --kinds weights,loss --steps ::10 -- python3 train.py\n"
                 "nauha record -o run.h5 -- torchrun --nproc_per_node 2 train.py",
     .min_arguments = 1,
     .max_arguments = SIZE_MAX,
     .runs_arguments = true,
     .groups = {&nauha__record_options, &recording_options, &selected_options},
     .run = nauha__run_record},
    {.name = "train",
     .summary = "train a built-in network with libtorch, recorded",
     .arguments = "",
     .description =
         "Trains a small network on images and writes every message of the training to a trace "
         "(-o). Without -o it trains unrecorded: the baseline to compare with. With --metric the "
         "same metrics are computed live that replay computes from the trace, and written to the "
         "directory of --live, or to standard output. With --rule, health rules are checked live; "
         "what they find is told at the end, with exit code 1, and --stop-on ends the training for "
         "it.",
     .examples = "nauha train -o run.h5 --batch-size 32 --max-steps 200\n"
                 "nauha train -o run.h5 --model resnet --kinds weights,weight_updates,loss\n"
                 "nauha train -o run.h5 --metric loss --metric norm:weights --live series\n"
                 "nauha train --metric loss --live logs/run1 --sink tensorboard\n"
                 "nauha train -o run.h5 --stop-on exploding_tensor,loss_not_decreasing",
     .groups = {&nauha__train_output_options, &training_options, &recording_options,
                &recorded_options, &nauha__plugin_options},
     .run = nauha__run_train},
    {.name = "replay",
     .summary = "feed a trace through metrics",
     .arguments = "TRACE|DIR...",
     .description =
         "Feeds the chosen messages of a trace through the metrics named by SPECs, "
         "NAME:KIND[,KIND...][:key=value...], in order of publication. Only what a metric needs is "
         "decompressed. With -o, each topic becomes DIR/TOPIC.csv and, with the gnuplot sink, "
         "TOPIC.gp, TOPIC.svg and TOPIC.png; with the tensorboard sink, DIR is a log directory of "
         "TensorBoard's. Without -o, CSV goes to standard output with a leading metric column. "
         "\"nauha analyzers\" lists the metrics. The traces of a distributed "
         "training, one of each rank, are replayed together: step by step, and within a step rank "
         "by rank. Traces of different trainings, or all traces of a directory, are replayed one "
         "training after the other; every row then ends with the name of its run, and a picture "
         "has "
         "a line for each. Under mpirun or srun, the processes share out the modules, and the "
         "first "
         "of them writes what one would. With --follow, the messages of a recording that is going "
         "on come as it "
         "flushes "
         "them; the results are those of a replay after its end. With --model, the recorded "
         "parameters of each step are put back into the network, which runs anew: for "
         "test_accuracy, hessian_eig and all metrics of tags other than \"default\".",
     .examples =
         "nauha replay run.h5 --metric loss --metric ratio:weight_updates,weights -o series\n"
         "nauha replay run.h5 --metric norm:layer_gradients:order=inf --steps 100:200\n"
         "nauha replay run.h5 --metric loss --follow\n"
         "nauha replay run.h5 --model alexnetmini --metric test_accuracy:every=100\n"
         "nauha replay run.h5 --model net.pt --data testset --metric hessian_eig:k=5:every=500\n"
         "nauha replay run.rank*.h5 --metric norm:weight_gradients -o series\n"
         "nauha replay sweep --metric loss -o compared",
     .min_arguments = 1,
     .max_arguments = SIZE_MAX,
     .groups = {&nauha__replay_options, &nauha__model_options, &nauha__select_options,
                &nauha__plugin_options},
     .run = nauha__run_replay},
    {.name = "info",
     .summary = "what is in a trace",
     .arguments = "TRACE",
     .description = "Says what was recorded: steps, epochs, kinds, messages, bytes published and "
                    "stored, losses, and whether the recording is complete or was cut off.",
     .examples = "nauha info run.h5\nnauha info --json run.h5",
     .min_arguments = 1,
     .max_arguments = 1,
     .groups = {&nauha__info_options},
     .run = nauha__run_info},
    {.name = "ls",
     .summary = "list the messages of a trace",
     .arguments = "TRACE",
     .description = "Lists the chosen messages as replay publishes them, derived updates included, "
                    "one a line.",
     .examples = "nauha ls run.h5 --steps 3 --modules 'features.*'",
     .min_arguments = 1,
     .max_arguments = 1,
     .groups = {&nauha__ls_options, &nauha__select_options},
     .run = nauha__run_ls},
    {.name = "cat",
     .summary = "print or export recorded tensors",
     .arguments = "TRACE",
     .description = "Prints the tensors of the chosen messages as text, or writes the one chosen "
                    "tensor to a file that NumPy reads.",
     .examples = "nauha cat run.h5 --kinds biases --modules features.0 --steps 3\n"
                 "nauha cat run.h5 --kinds loss --steps 3 --npy loss.npy",
     .min_arguments = 1,
     .max_arguments = 1,
     .groups = {&nauha__cat_options, &nauha__select_options},
     .run = nauha__run_cat},
    {.name = "diff",
     .summary = "where two trainings part, and how they part from there",
     .arguments = "A B",
     .description =
         "Compares the messages of two traces, bit by bit unless a tolerance is given, names the "
         "first that differs in the order in which a step's values follow from each other, says "
         "what that means, and shows how the difference grows, by kind and by module. Messages "
         "belong together that have the same step, kind, tag, module, slot and call. Traces of "
         "hashes (--hash of record and train) can be compared with each other and with full ones. "
         "The traces of the ranks of one training are each compared with the first one's, by "
         "weights, biases and updates unless --kinds says otherwise: where replicas drifted apart. "
         "Exit code 1 where the traces differ.",
     .examples = "nauha diff a.h5 b.h5\n"
                 "nauha diff a.h5 b.h5 --rtol 1e-5 --atol 1e-8 -o growth\n"
                 "nauha diff plain.h5 parallel.h5 --map =module\n"
                 "nauha diff run.rank*.h5",
     .min_arguments = 2,
     .max_arguments = SIZE_MAX,
     .groups = {&nauha__diff_options, &nauha__select_options},
     .run = nauha__run_diff},
    {.name = "plot",
     .summary = "draw replayed series with gnuplot",
     .arguments = "DIR|FILE.csv",
     .description = "Draws the series that replay or train wrote: the one of a CSV file, or all of "
                    "a directory. A script TOPIC.gp that you have edited is run as it is.",
     .examples = "nauha plot series\nnauha plot series/loss.csv --term dumb",
     .min_arguments = 1,
     .max_arguments = 1,
     .groups = {&nauha__plot_options},
     .run = nauha__run_plot},
    {.name = "verify",
     .summary = "check every checksum and bound of a trace",
     .arguments = "TRACE",
     .description = "Reads all of a trace and names what is damaged and which messages that costs. "
                    "Exit code 1 if anything is.",
     .examples = "nauha verify run.h5",
     .min_arguments = 1,
     .max_arguments = 1,
     .groups = {&nauha__verify_options},
     .run = nauha__run_verify},
    {.name = "check",
     .summary = "look for what is wrong with a training",
     .arguments = "TRACE...",
     .description =
         "Runs health rules over the chosen messages of a trace: gradients that vanish or explode, "
         "dead layers, steps too large or too small, a loss that stays where it is, overfitting, "
         "and more. Says of each finding where it is, since when, how often, the value and the "
         "threshold, and what it usually comes from. All rules are checked whose inputs were "
         "recorded, or those of --rule. \"nauha analyzers NAME\" explains a rule. Exit code 1 if "
         "anything was found, and 2 if there was nothing to check, as where the options choose no "
         "message.",
     .examples = "nauha check run.h5\n"
                 "nauha check run.h5 --rule vanishing_gradient:threshold=1e-9 --rule dead_relu\n"
                 "nauha check run.h5 --exclude 'frozen.*' --steps 100: --json",
     .min_arguments = 1,
     .max_arguments = SIZE_MAX,
     .groups = {&nauha__check_options, &nauha__select_options, &nauha__plugin_options},
     .run = nauha__run_check},
    {.name = "report",
     .summary = "one page about a training, for a browser",
     .arguments = "TRACE...",
     .description =
         "Writes one HTML file that needs nothing else: what was trained, its curves, what the "
         "health rules find, a table of the modules, histograms over steps, and the facts of the "
         "trace. It is read in any browser, on a phone or on paper; tables are sorted by their "
         "headers. The traces of a distributed training, one of each rank, make one page: a line "
         "for each rank in the curves of the network, and one for all of them in those of modules. "
         "Exit code 0 also where rules found something: \"nauha check\" is for scripts.",
     .examples = "nauha report run.h5\n"
                 "nauha report run.h5 -o report.html --metric spectral_norm:weights:subsample=10\n"
                 "nauha report run.h5 --steps 1000: --modules 'features.*'\n"
                 "nauha report run.rank*.h5 -o report.html",
     .min_arguments = 1,
     .max_arguments = SIZE_MAX,
     .groups = {&nauha__report_options, &nauha__select_options, &nauha__plugin_options},
     .run = nauha__run_report},
    {.name = "analyzers",
     .summary = "the metrics and health rules there are, with their parameters",
     .arguments = "[NAME]",
     .description =
         "Lists the metrics and health rules, built in and from plugins, and says of each "
         "plugin that was found and refused why; with a name, one metric's kinds, "
         "parameters and formula.",
     .examples = "nauha analyzers\nnauha analyzers norm",
     .max_arguments = 1,
     .groups = {&nauha__analyzers_options, &nauha__plugin_options},
     .run = nauha__run_analyzers},
    {.name = "help",
     .summary = "explain the program or one command",
     .arguments = "[COMMAND]",
     .description = "Without a command, lists the commands.",
     .examples = "nauha help replay",
     .max_arguments = 1,
     .groups = {&nauha__help_options},
     .run = nauha__run_help},
    {.name = "complete",
     .summary = "what a shell offers for the line being typed",
     .arguments = "[--] WORD...",
     .description = "Prints what may stand in place of the last word.",
     .min_arguments = 1,
     .max_arguments = SIZE_MAX,
     .hidden = true,
     .runs_arguments = true,
     .groups = {NULL},
     .run = nauha__run_complete},
    {.name = NULL},
};

const struct command *nauha__command_find(const char *name) {
    for (const struct command *command = nauha__commands; command->name; command++) {
        if (strcmp(command->name, name) == 0)
            return command;
    }
    return NULL;
}
