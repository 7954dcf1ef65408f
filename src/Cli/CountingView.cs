using System.Diagnostics;
using Spectre.Console;

namespace RefConv.Cli;

/// <summary>Shows how far something countable is and how long it will take: a bar on a terminal, one plain line every ten seconds otherwise.</summary>
internal static class CountingView
{
    private const double PlainInterval = 10;

    /// <summary>Runs work that tells how many of how many are done.</summary>
    public static T Run<T>(Output output, string title, string unit, Func<Action<int, int>, T> work)
    {
        long started = Stopwatch.GetTimestamp();
        double lastLine = 0;
        int? first = null; // what an earlier run had done says nothing of this one's speed
        if (!output.IsLive)
        {
            return work((done, total) =>
            {
                string text = Text(done, total, out double elapsed);
                if (elapsed - lastLine < PlainInterval) return;
                lastLine = elapsed;
                output.Line("  " + text);
            });
        }
        return AnsiConsole.Progress().AutoClear(true).HideCompleted(false)
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new PercentageColumn())
            .Start(context =>
            {
                var task = context.AddTask(Markup.Escape(title));
                return work((done, total) =>
                {
                    (task.MaxValue, task.Value) = (total, done);
                    task.Description = Markup.Escape(Text(done, total, out _));
                });
            });

        string Text(int done, int total, out double elapsed)
        {
            first ??= done;
            elapsed = Stopwatch.GetElapsedTime(started).TotalSeconds;
            double left = done == first ? double.NaN : (total - done) * elapsed / (done - first.Value);
            return $"{title}: {done} of {total} {unit}, {Output.Duration(left)} left";
        }
    }
}
