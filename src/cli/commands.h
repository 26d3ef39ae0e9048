/* The commands: each in a file of its own, each returns the exit status. argv[0] is the command's name. */
#ifndef VIT_CLI_COMMANDS_H
#define VIT_CLI_COMMANDS_H

/* name, one line for the overview */
#define VIT_CLI_COMMANDS(X)                                             \
    X(classify, "what is in pictures: the likeliest classes and scores") \
    X(features, "feature vectors of pictures, as .npy, safetensors or JSON") \
    X(search, "the pictures that look most like others")                  \
    X(attention, "where a network looks, laid over the picture")         \
    X(masked, "fills in hidden parts of a picture")                       \
    X(fewshot, "classes learnt from a few pictures of each, in no time")  \
    X(eval, "accuracy on a folder of pictures named by class")           \
    X(train, "trains a network on pictures, from scratch")               \
    X(pretrain, "trains a network to fill in pictures, without labels")  \
    X(finetune, "trains a trained network on other pictures")            \
    X(plot, "curves of training runs")                                   \
    X(trace, "every intermediate result of a forward pass")              \
    X(init, "a new model with random weights")                           \
    X(info, "what is in a weight file or model")                         \
    X(convert, "one GGUF file with everything in it")                    \
    X(inspect, "what networks have learnt, and what they cost")          \
    X(bench, "times of a forward pass on this machine")

#define VIT_CLI_DECLARE(name, summary) int vit_cli_##name(int argc, char **argv);
VIT_CLI_COMMANDS(VIT_CLI_DECLARE)
#undef VIT_CLI_DECLARE

#endif
