using BenchmarkDotNet.Attributes;
using RefConv.Cases;
using RefConv.Kernels;

namespace RefConv.Bench.Kernels;

/// <summary>Times one kernel on one row of the case tables: the same rows that the conformance tests check.</summary>
/// <remarks>Runs in the process that chose the rows, so the choice may live in static fields.</remarks>
public class KernelBenchmark
{
    private DeviceBuffer?[] _buffers = [];
    private BufferView[] _views = [];
    private CpuDevice _device = null!;

    /// <summary>Rows chosen on the command line.</summary>
    internal static IReadOnlyList<KernelCase> Selected { get; set; } = [];

    /// <summary>Threads chosen on the command line; 0 for all cores.</summary>
    internal static int Threads { get; set; }

    /// <summary>The rows, for BenchmarkDotNet.</summary>
    public static IEnumerable<KernelCase> Rows => Selected;

    /// <summary>The row under the clock.</summary>
    [ParamsSource(nameof(Rows))]
    public KernelCase Row { get; set; } = null!;

    /// <summary>Makes the operands, outside the measured time.</summary>
    [GlobalSetup]
    public void Prepare()
    {
        _device = new CpuDevice(Threads);
        _buffers = new DeviceBuffer?[Row.Operands.Length];
        _views = new BufferView[Row.Operands.Length];
        for (int i = 0; i < _views.Length; i++)
        {
            var operand = Row.Operands[i];
            if (operand.Role == Role.None) continue;
            _buffers[i] = _device.Rent(operand.Length);
            _views[i] = _buffers[i]!.View;
            // Outputs are filled too: a page that was never touched costs a page fault in the first call that writes it.
            _device.Write(_views[i], Row.Values(operand));
        }
    }

    /// <summary>One call.</summary>
    [Benchmark]
    public void Call() => Row.Invoke(_device.Kernels, _views);

    /// <summary>Gives the memory back before the next row asks for its own.</summary>
    [GlobalCleanup]
    public void CleanUp()
    {
        foreach (var buffer in _buffers) buffer?.Dispose();
        _device.Dispose();
    }
}
