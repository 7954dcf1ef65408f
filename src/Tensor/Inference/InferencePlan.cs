using RefConv.Kernels;

namespace RefConv;

/// <summary>
/// A model made ready to answer: the operations of one input shape, once and for all. Batch norms are folded into the convolutions before them,
/// biases, residual sums and activations are done where a convolution writes its result, weights are packed in the order the device's algorithm
/// reads them, and all intermediate results share one block of memory. Made with <c>Compile</c> from a model in evaluation mode.
/// </summary>
/// <remarks>
/// A plan is a snapshot: it keeps nothing of the model and does not see later changes of its weights. It may be run any number of times,
/// by one thread at a time; a second plan of the same model has memory of its own.
/// </remarks>
public sealed class InferencePlan : IDisposable
{
    private readonly IReadOnlyList<PlanStep> _steps;
    private readonly Tensor _input;
    private readonly IReadOnlyList<Tensor> _inputAliases;
    private readonly DeviceBuffer _arena;
    private bool _disposed;

    internal InferencePlan(PlanBuilder built)
    {
        (_steps, _input, Output) = (built.Steps, built.Input, built.Output);
        var memory = new ArenaLayout(built);
        _inputAliases = memory.InputAliases;
        _arena = _input.Device.Rent(memory.Length);
        memory.Assign(_arena.View);
    }

    /// <summary>The device it runs on.</summary>
    public Device Device => _arena.Device;

    /// <summary>What <see cref="Run"/> takes.</summary>
    public Shape InputShape => _input.Shape;

    /// <summary>What <see cref="Run"/> gives.</summary>
    public Shape OutputShape => Output.Shape;

    /// <summary>Bytes of intermediate results, the device's element type being a 32-bit float.</summary>
    public long ArenaBytes => _arena.Length * sizeof(float);

    /// <summary>Bytes of packed weights.</summary>
    public long WeightBytes => _steps.Sum(s => s.WeightBytes);

    /// <summary>What is done, in order: a line a step, with the algorithm.</summary>
    public IEnumerable<string> Steps => _steps.Select(s => s.ToString()!);

    private Tensor Output { get; }

    /// <summary>Makes a plan of a computation.</summary>
    /// <param name="device">Where its parameters are.</param>
    /// <param name="input">Shape of the input.</param>
    /// <param name="forward">The computation: operations on tensors, without looking at values.</param>
    /// <param name="accuracy">What may be traded for speed.</param>
    /// <exception cref="InvalidOperationException">It has a batch norm in training mode, or its result does not depend on the input.</exception>
    /// <exception cref="NotSupportedException">An operation that only training needs is part of it.</exception>
    public static InferencePlan Compile(Device device, Shape input, Func<Tensor, Tensor> forward, Conv2dAccuracy accuracy = Conv2dAccuracy.Fast)
    {
        using var tape = Tape.Symbolic();
        var x = tape.SymbolicInput(device, input);
        var y = forward(x);
        if (!y.IsSymbolic) throw new InvalidOperationException("The result does not depend on the input: there is nothing to compile.");
        return new InferencePlan(new PlanBuilder(tape.Nodes, x, y, accuracy));
    }

    /// <summary>Computes the result. It belongs to the plan and is overwritten by the next run: read it, or copy it, before.</summary>
    /// <param name="x">Of <see cref="InputShape"/>, on <see cref="Device"/>.</param>
    /// <exception cref="ShapeException">Another shape.</exception>
    public Tensor Run(Tensor x)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (x.Shape != InputShape) throw new ShapeException($"This plan was compiled for an input of {InputShape}, and was given {x.Shape}. Compile one for that shape.");
        if (x.Device != Device) throw new InvalidOperationException($"This plan runs on {Device}, the input is on {x.Device}.");
        foreach (var alias in _inputAliases) alias.Data = x.Data;
        var kernels = Device.Kernels;
        foreach (var step in _steps) step.Run(kernels);
        return Output;
    }

    /// <summary>Gives weights and memory back.</summary>
    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        foreach (var step in _steps) step.Dispose();
        _arena.Dispose();
    }
}
