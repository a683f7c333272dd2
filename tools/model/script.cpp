/* SPDX-License-Identifier: MIT */
/* Networks from TorchScript files. TorchScript has no hooks in C++. So the calls of modules are
 * inlined in a copy of the model's graph, and after each an operator is inserted that reports its
 * output. The interpreter runs this copy operator by operator, as Python would; nothing is fused.
 */
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/runtime/custom_operator.h>
#include <torch/csrc/jit/runtime/interpreter.h>
#include <torch/csrc/jit/serialization/import.h>

#include "tools/model/network.hpp"

namespace nauha {
namespace model {

namespace {

using torch::jit::Node;
using torch::jit::Stack;
using torch::jit::Value;

/* A call of a module in the graph. */
struct Call {
    std::string module, class_name;
};

/* The receiver of the calls of `nauha::ran` in the thread that runs the graph. */
struct Run {
    const std::vector<Call> *calls;
    const Observer *observer;
};
thread_local Run current{nullptr, nullptr};

void report(const Call &call, const std::string &slot, const c10::IValue &value) {
    const std::string prefix = slot.empty() ? "" : slot + ".";
    if (value.isTensor()) {
        if (value.toTensor().defined())
            (*current.observer)(call.module, call.class_name, slot, value.toTensor());
    } else if (value.isTuple()) {
        size_t i = 0;
        for (const auto &element : value.toTupleRef().elements())
            report(call, prefix + std::to_string(i++), element);
    } else if (value.isList()) {
        size_t i = 0;
        for (const auto &element : value.toListRef())
            report(call, prefix + std::to_string(i++), element);
    } else if (value.isGenericDict()) {
        for (const auto &item : value.toGenericDict())
            if (item.key().isString())
                report(call, prefix + item.key().toStringRef(), item.value());
    }
}

void ran(Stack &stack) {
    const c10::IValue value = torch::jit::pop(stack);
    const int64_t call = torch::jit::pop(stack).toInt();
    if (current.observer && *current.observer)
        report((*current.calls)[static_cast<size_t>(call)], "", value);
}

const torch::jit::RegisterOperators registered({torch::jit::Operator(
    "nauha::ran(int call, Any output) -> ()", [](Stack &stack) { ran(stack); },
    c10::AliasAnalysisKind::CONSERVATIVE)});

/* Returns "features.0" for the value self.features.0; false if the value is not a part of the
 * model. */
bool path_of(const Value *value, const Value *self, std::string &path) {
    std::vector<std::string> names;
    for (; value != self; value = value->node()->input(0)) {
        const Node *node = value->node();
        if (node->kind() != c10::prim::GetAttr || node->inputs().size() != 1)
            return false;
        names.push_back(node->s(c10::attr::name));
    }
    for (auto name = names.rbegin(); name != names.rend(); ++name)
        path += (path.empty() ? "" : ".") + *name;
    return true;
}

/* Inlines the calls of modules, the outermost first, and marks their outputs. */
class Expansion {
  public:
    Expansion(torch::jit::Graph &graph, std::vector<Call> &calls) : graph_(graph), calls_(calls) {
    }

    void run() {
        expand(*graph_.block());
    }

  private:
    void expand(torch::jit::Block &block) {
        for (Node *node = *block.nodes().begin(); node != block.return_node();) {
            for (torch::jit::Block *inner : node->blocks())
                expand(*inner);
            Node *before = node->prev();
            node = inlined(*node) ? before->next() : node->next();
        }
    }

    bool inlined(Node &node) {
        if (node.kind() != c10::prim::CallMethod)
            return false;
        const auto type = node.input(0)->type()->cast<c10::ClassType>();
        if (!type || !type->is_module())
            return false;
        const std::string method = node.s(c10::attr::name);
        auto *function = torch::jit::tryToGraphFunction(type->getMethod(method));
        if (!function)
            return false;
        std::string path;
        const bool seen = method == "forward" && path_of(node.input(0), graph_.inputs()[0], path);
        Node *after = node.next();
        const auto outputs = torch::jit::inlineCallTo(&node, function, function->graph().get());
        if (seen)
            mark(*after, outputs[0], {path, type->name()->name()});
        return true;
    }

    void mark(Node &after, Value *output, Call call) {
        const torch::jit::WithInsertPoint here(&after);
        Value *number = graph_.insertConstant(static_cast<int64_t>(calls_.size()));
        Node *node = graph_.create(c10::Symbol::fromQualString("nauha::ran"), {number, output}, 0);
        graph_.insertNode(node);
        calls_.push_back(std::move(call));
    }

    torch::jit::Graph &graph_;
    std::vector<Call> &calls_;
};

class Script : public Network {
  public:
    Script(const std::string &path, at::ScalarType type) : module_(load(path)) {
        module_.eval();
        if (type != at::kFloat)
            module_.to(type);
        auto *function = torch::jit::tryToGraphFunction(module_.get_method("forward").function());
        if (!function)
            throw Failure(NAUHA_FORMAT, "model \"" + path + "\" has no forward that can be run");
        graph_ = function->graph()->copy();
        if (graph_->inputs().size() < 2)
            throw Failure(NAUHA_INVALID, "model \"" + path + "\" takes no input");
        Expansion(*graph_, calls_).run();
        torch::jit::Inline(*graph_);
        calls_.push_back({"", module_.type()->name()->name()});
        defaults_ = function->getSchema().arguments();
    }

    Named parameters() override {
        Named named;
        for (const auto &parameter : module_.named_parameters())
            named.emplace_back(parameter.name, parameter.value);
        return named;
    }
    Named buffers() override {
        Named named;
        for (const auto &buffer : module_.named_buffers())
            named.emplace_back(buffer.name, buffer.value);
        return named;
    }

    at::Tensor forward(const at::Tensor &input, const Observer &observer) override {
        if (!code_)
            code_ = std::make_unique<torch::jit::Code>(graph_, "forward");
        Stack stack{module_._ivalue(), input};
        for (size_t i = 2; i < defaults_.size(); i++) {
            if (!defaults_[i].default_value())
                throw Failure(NAUHA_INVALID, "the model takes more than one input: \"" +
                                                 defaults_[i].name() + "\" is not in the data");
            stack.push_back(*defaults_[i].default_value());
        }
        const Scope scope{{&calls_, &observer}};
        torch::jit::InterpreterState(*code_).run(stack);
        const c10::IValue output = stack.back();
        if (observer)
            report(calls_.back(), "", output);
        return first_tensor(output);
    }

  private:
    struct Scope {
        Run before = current;

        explicit Scope(const Run &run) {
            current = run;
        }
        ~Scope() {
            current = before;
        }
        Scope(const Scope &) = delete;
        Scope &operator=(const Scope &) = delete;
    };

    static torch::jit::Module load(const std::string &path) {
        try {
            return torch::jit::load(path, at::kCPU);
        } catch (const c10::Error &error) {
            const std::string text = error.what_without_backtrace();
            throw Failure(NAUHA_FORMAT, "cannot load model \"" + path + "\" as TorchScript: " +
                                            text.substr(0, text.find('\n')));
        }
    }

    static at::Tensor first_tensor(const c10::IValue &output) {
        if (output.isTensor())
            return output.toTensor();
        if (output.isTuple() && !output.toTupleRef().elements().empty())
            return first_tensor(output.toTupleRef().elements()[0]);
        throw Failure(NAUHA_INVALID,
                      "the model returns " + output.tagKind() +
                          ", but a tensor, or a tuple that begins with one, is expected");
    }

    torch::jit::Module module_;
    std::shared_ptr<torch::jit::Graph> graph_;
    std::vector<Call> calls_; /* the last is the model itself */
    std::vector<c10::Argument> defaults_;
    std::unique_ptr<torch::jit::Code> code_;
};

} // namespace

std::unique_ptr<Network> load_script(const std::string &path, at::ScalarType type) {
    return std::make_unique<Script>(path, type);
}

} // namespace model
} // namespace nauha
