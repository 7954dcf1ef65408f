using RefConv.Kernels;

namespace RefConv.Bench.Gpu;

/// <summary>
/// Times by the device's events: warm, median, the second-level cache filled with something else before every repeat (which also keeps the device busy while the host
/// asks for what is timed, so that launching is not timed).
/// </summary>
internal sealed class GpuTimer : IDisposable
{
    private const int Repeats = 11;
    private readonly Device _device;
    private const long LeastFlush = 1 << 26; // floats: 256 MB, five times an H100's cache
    private readonly DeviceBuffer _flush;

    public GpuTimer(Device device, bool quick)
    {
        _device = device;
        Inspector = GpuBackend.Inspect(device);
        _flush = device.Rent(quick ? 1 << 16 : Math.Max(LeastFlush, 4 * Inspector.CacheBytes / sizeof(float)));
    }

    public IGpuInspector Inspector { get; }

    /// <summary>Median milliseconds. The work is given the number of the repeat, to choose one of several sets of inputs.</summary>
    public double Milliseconds(Action<int> work, int inner = 1)
    {
        for (int i = 0; i < 3; i++) work(i);
        Inspector.Synchronize();
        double[] times = new double[Repeats];
        for (int r = 0; r < Repeats; r++)
        {
            int repeat = r;
            times[r] = Inspector.Milliseconds(() => _device.Kernels.Fill(_flush.View, repeat), () =>
            {
                for (int i = 0; i < inner; i++) work((repeat * inner) + i);
            }) / inner;
        }
        Array.Sort(times);
        return times[Repeats / 2];
    }

    public void Dispose() => _flush.Dispose();
}
