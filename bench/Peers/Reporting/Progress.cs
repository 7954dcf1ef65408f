using System.Diagnostics;
using System.Globalization;

namespace RefConv.Bench;

/// <summary>Where we are and how long it still takes, on standard error: one line that changes on a terminal, otherwise a line now and then.</summary>
/// <param name="cases">What will be run.</param>
internal sealed class Progress(IReadOnlyList<BenchCase> cases)
{
    private const double PlainSeconds = 20;

    private readonly bool _live = !Console.IsErrorRedirected;
    private readonly double _total = cases.Sum(c => c.Weight);
    private readonly long _started = Stopwatch.GetTimestamp();
    private double _done, _said;

    /// <summary>A case begins.</summary>
    public void Begin(int index)
    {
        double seconds = Stopwatch.GetElapsedTime(_started).TotalSeconds;
        // The time left is told when enough was done to judge by.
        string left = _done == 0 || seconds < 3 ? "" : $", about {Duration(seconds / _done * (_total - _done))} left";
        string line = $"[{index + 1}/{cases.Count}] {cases[index].Title}{left}";
        if (_live)
        {
            Console.Error.Write($"\r\e[K{line}");
        }
        else if (seconds - _said >= PlainSeconds)
        {
            _said = seconds;
            Console.Error.WriteLine(line);
        }
    }

    /// <summary>It is done.</summary>
    public void End(int index) => _done += cases[index].Weight;

    /// <summary>Takes the changing line away, before something else is printed.</summary>
    public void Clear()
    {
        if (_live) Console.Error.Write("\r\e[K");
    }

    private static string Duration(double seconds) => seconds < 90
        ? string.Create(CultureInfo.InvariantCulture, $"{Math.Ceiling(seconds):F0} s")
        : string.Create(CultureInfo.InvariantCulture, $"{Math.Ceiling(seconds / 60):F0} min");
}
