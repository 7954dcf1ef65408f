using System.Diagnostics;
using System.Globalization;

namespace RefConv.Bench;

/// <summary>How busy the machine was with something else while we measured: says whether figures can be trusted. Linux only.</summary>
internal sealed class OtherLoad
{
    private const string Source = "/proc/stat";
    private readonly IReadOnlyList<Peers.PeerWorker> _workers;
    private readonly long _started = Stopwatch.GetTimestamp();
    private readonly double _all, _own;

    private OtherLoad(IReadOnlyList<Peers.PeerWorker> workers)
    {
        _workers = workers;
        (_all, _own) = (BusySeconds(), OwnSeconds());
    }

    public static OtherLoad Start(IReadOnlyList<Peers.PeerWorker> workers) => new(workers);

    /// <summary>Processor time of other processes since the start, of all there was.</summary>
    public double Share() => Share(BusySeconds() - _all - (OwnSeconds() - _own));

    /// <summary>
    /// The same less what the counters, which tick in hundredths of a second, can have wrong: for short spans. Two ticks.
    /// </summary>
    public double CertainShare() => Share(BusySeconds() - _all - (OwnSeconds() - _own) - 0.02);

    private double Share(double others) => Math.Max(0, others) / (Stopwatch.GetElapsedTime(_started).TotalSeconds * Environment.ProcessorCount);

    private double OwnSeconds()
    {
        using var self = Process.GetCurrentProcess();
        return self.TotalProcessorTime.TotalSeconds + _workers.Sum(w => w.ProcessorTime.TotalSeconds);
    }

    /// <summary>First line: user, nice, system, idle, iowait, irq, softirq, steal, in hundredths of a second of all processors together.</summary>
    private static double BusySeconds()
    {
        if (!File.Exists(Source)) return double.NaN;
        double[] t = [.. File.ReadLines(Source).First().Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1).Take(8).Select(v => double.Parse(v, CultureInfo.InvariantCulture))];
        return (t.Sum() - t[3] - t[4]) / 100;
    }
}
