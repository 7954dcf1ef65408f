using System.Diagnostics;
using System.Text.Json.Nodes;
using RefConv.Models.Train;
using Spectre.Console;

namespace RefConv.Cli;

/// <summary>
/// Shows a training run: a bar with rate and time left on a terminal, one plain line every ten seconds otherwise, JSON lines for machines;
/// one line an epoch in any case.
/// </summary>
internal sealed class TrainingView(Output output, string title, Func<string> afterTime) : ITrainingObserver
{
    private const double PlainInterval = 10, RateWindow = 5;
    private readonly long _started = Stopwatch.GetTimestamp();
    private readonly Queue<(double Time, long Steps)> _recent = new([(0, 0)]);
    private double _lastLine;
    private long _stepsSeen;
    private ProgressTask? _task;

    /// <summary>Runs the trainer under this display.</summary>
    /// <param name="output">Where to.</param>
    /// <param name="title">What is trained.</param>
    /// <param name="trainer">Who trains it.</param>
    /// <param name="stopAfter">Epochs after which to stop; null for the recipe's end.</param>
    /// <param name="cancellation">Stops between steps.</param>
    /// <param name="afterTime">What to say after the time that is left: what else there is to do.</param>
    /// <param name="tensorBoard">Folder for event files; null for none.</param>
    public static bool Run(Output output, string title, Trainer trainer, int? stopAfter, CancellationToken cancellation, Func<string>? afterTime = null, string? tensorBoard = null)
    {
        var view = new TrainingView(output, title, afterTime ?? (() => ""));
        using var events = tensorBoard == null ? null : new TensorBoardObserver(tensorBoard, trainer.State, trainer.StepsPerEpoch, view);
        trainer.Observer = events ?? (ITrainingObserver)view;
        if (!output.IsLive) return trainer.Run(stopAfter, cancellation);
        return AnsiConsole.Progress().AutoClear(true).HideCompleted(false)
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new PercentageColumn())
            .Start(context =>
            {
                view._task = context.AddTask(Markup.Escape(title));
                return trainer.Run(stopAfter, cancellation);
            });
    }

    public void OnStep(in TrainingProgress p)
    {
        _stepsSeen++;
        if (output.IsJson) return;
        double elapsed = Stopwatch.GetElapsedTime(_started).TotalSeconds;
        double rate = RecentRate(elapsed);
        double left = (((p.Epochs - p.Epoch) * (double)p.Steps) + p.Steps - p.Step) / rate;
        string now = $"{title}: epoch {p.Epoch}/{p.Epochs}, loss {Output.Text(p.Loss, "0.000")}, {Output.Text(rate * p.BatchSize, "0")} images/s, {Output.Duration(left)} left{afterTime()}";
        if (_task != null)
        {
            _task.MaxValue = p.Epochs * (double)p.Steps;
            _task.Value = ((p.Epoch - 1) * (double)p.Steps) + p.Step;
            _task.Description = Markup.Escape(now);
        }
        else if (elapsed - _lastLine >= PlainInterval)
        {
            _lastLine = elapsed;
            output.Line("  " + now);
        }
    }

    /// <summary>Steps a second over the last seconds: the first steps, in which code is still being compiled, would spoil an average over all.</summary>
    private double RecentRate(double elapsed)
    {
        _recent.Enqueue((elapsed, _stepsSeen));
        while (_recent.Count > 2 && elapsed - _recent.Peek().Time > RateWindow) _recent.Dequeue();
        var (time, steps) = _recent.Peek();
        return (_stepsSeen - steps) / Math.Max(1e-9, elapsed - time);
    }

    public void OnEpoch(EpochResult r)
    {
        output.Object(new JsonObject
        {
            ["run"] = title,
            ["epoch"] = r.Epoch,
            ["trainLoss"] = r.TrainLoss,
            ["trainAccuracy"] = r.TrainAccuracy,
            ["testLoss"] = r.TestLoss,
            ["accuracy"] = r.Accuracy,
            ["top5"] = r.Top5,
            ["learningRate"] = r.LearningRate,
            ["seconds"] = r.Seconds,
        });
        _lastLine = Stopwatch.GetElapsedTime(_started).TotalSeconds;
        string line = ($"  {title} epoch {r.Epoch,3}: training loss {Output.Text(r.TrainLoss, "0.000")}, test loss {Output.Text(r.TestLoss, "0.000")}, " +
            $"top-1 {Output.Text(100 * r.Accuracy, "0.0")} %, {Output.Text(r.Seconds, "0.0")} s");
        if (_task != null) AnsiConsole.MarkupLine(Markup.Escape(line)); // above the bar
        else output.Line(line);
    }
}
