using System.Diagnostics;

namespace RefConv.Bench;

/// <summary>
/// What a sample is timed with. Work of one thread by the processor time of this process, which a busy neighbour hardly changes; work of several
/// threads, which wait for each other, by the clock on the wall. The workers do the same.
/// </summary>
internal readonly struct Clock
{
    private readonly long _wall;
    private readonly TimeSpan _processor;
    private readonly bool _one;

    private Clock(bool one) => (_one, _wall, _processor) = (one, Stopwatch.GetTimestamp(), one ? Environment.CpuUsage.TotalTime : default);

    /// <summary>Whether work of so many threads is timed by processor time.</summary>
    public static bool IsProcessorTime(int threads) => threads == 1;

    public static Clock Start(int threads) => new(IsProcessorTime(threads));

    /// <summary>Milliseconds since the start.</summary>
    public double Milliseconds => _one ? (Environment.CpuUsage.TotalTime - _processor).TotalMilliseconds : Stopwatch.GetElapsedTime(_wall).TotalMilliseconds;
}
