using RefConv.Models;
using RefConv.Models.Data;
using RefConv.Models.Train;

namespace RefConv.Tests.Models;

/// <summary>A comparison goes on whatever becomes of one of its rows, and after a stop inside one.</summary>
public sealed class MethodComparisonTests : DeviceTest
{
    private readonly TemporaryFolder _folder = new();

    public override void Dispose()
    {
        _folder.Dispose();
        base.Dispose();
    }

    [Fact]
    public void ARowThatFailsLeavesTheOthers()
    {
        List<string> trained = [];
        var comparison = Make("runs", ["wn", "cwn", "acb"], (name, trainer, cancellation) =>
        {
            trained.Add(name);
            if (name == "wn") throw new DivergedException("the loss is no number");
            bool done = trainer.Run(cancellation: cancellation);
            // A weight that is no number: the merge checks itself and refuses.
            if (name != "cwn") return done;
            var gamma = trainer.Model.NamedParameters().First(p => p.Name == "model.0.1.weight").Parameter;
            gamma.FromTorch([.. Enumerable.Repeat(double.NaN, (int)gamma.Data.Length)]);
            return done;
        });
        var rows = comparison.Run(Cpu);
        Assert.Equal(["none", "wn", "cwn", "acb"], rows.Select(r => r.Method));
        Assert.Equal([false, true, true, false], rows.Select(r => r.Failed != null));
        Assert.Equal("the loss is no number", rows[1].Failed);
        Assert.Contains("the merge is wrong", rows[2].Failed);
        Assert.True(rows[3].MergeError < 1e-5);
        // What is written is read back, and nothing is done again.
        trained.Clear();
        var again = comparison.Run(Cpu);
        Assert.Empty(trained);
        Assert.Equal(rows.Select(r => (r.Method, r.Accuracy, r.TestLoss, r.MergeError, r.Failed)), again.Select(r => (r.Method, r.Accuracy, r.TestLoss, r.MergeError, r.Failed)));
        var table = new RefConv.Models.Report.ComparisonReport(comparison, rows, "here").Table;
        Assert.Equal(["failed", "failed"], table.Where(r => r[0] is "wn" or "cwn").Select(r => r[1]));
        Assert.DoesNotContain(table, r => r[0] is "none" or "acb" && r[1] == "failed");
    }

    [Fact]
    public void AStopInsideARowChangesNothing()
    {
        using var stop = new CancellationTokenSource();
        var stopped = Make("stopped", ["dyrep"], (name, trainer, cancellation) =>
        {
            if (name == "dyrep") trainer.Observer = new StopAt(3, stop);
            return trainer.Run(cancellation: cancellation);
        });
        Assert.Throws<OperationCanceledException>(() => stopped.Run(Cpu, stop.Token));
        Assert.True(File.Exists(_folder.File("stopped/seed1/dyrep/last.safetensors")));
        Assert.False(File.Exists(_folder.File("stopped/seed1/dyrep/row.json")));
        Assert.True(File.Exists(_folder.File("stopped/seed1/none/row.json")));
        var rows = Make("stopped", ["dyrep"]).Run(Cpu);
        var whole = Make("whole", ["dyrep"]).Run(Cpu);
        Assert.Equal(whole.Select(Figures), rows.Select(Figures));
        // Two epochs, and nothing grows after the last one: nobody would train it.
        Assert.Equal("1 of 14 convolutions grew", rows[1].Progress);
        TrainingBench.AssertSameRun(_folder.File("whole/seed1/dyrep"), _folder.File("stopped/seed1/dyrep"));

        static object Figures(MethodRow r) => (r.Method, r.Accuracy, r.TestLoss, r.MergeError, r.TrainParameters, r.DeployParameters, r.Progress);
    }

    [Fact]
    public void WhatTheModelCannotTakeIsLeftOutWithTheReason()
    {
        var comparison = Make("runs", ["acb", "dyrep"], architecture: "repvgg_a0", skip: true);
        var rows = comparison.Run(Cpu);
        Assert.Equal("dyrep", Assert.Single(comparison.Skipped.Keys));
        Assert.DoesNotContain(rows, r => r.Method == "dyrep");
        Assert.Contains("acb", rows.Select(r => r.Method));
        Assert.Contains(new RefConv.Models.Report.ComparisonReport(comparison, rows, "here").Notes, n => n.StartsWith("dyrep is left out: dyrep cannot take over", StringComparison.Ordinal));
    }

    private MethodComparison Make(string folder, string[] methods, Func<string, Trainer, CancellationToken, bool>? train = null, string architecture = "mobilenet_v1", bool skip = false)
    {
        var comparison = new MethodComparison
        {
            Spec = new ModelSpec(architecture) { Classes = 10, Width = 0.0625, SmallImages = true, ImageSize = 32 },
            Data = DataSource.Open("shapes", 20, 10),
            Recipe = new Recipe { Epochs = skip ? 1 : 2, BatchSize = 10, Seed = 1, WarmupEpochs = 1 },
            Methods = methods,
            MethodOptions = new Dictionary<string, System.Text.Json.Nodes.JsonObject> { ["dyrep"] = new() { ["every"] = 1 } },
            SkipUnsuitable = skip,
            Folder = _folder.File(folder),
            Train = train ?? ((_, trainer, cancellation) => trainer.Run(cancellation: cancellation)),
        };
        return comparison;
    }

    private sealed class StopAt(int step, CancellationTokenSource stop) : ITrainingObserver
    {
        private int _steps;

        public void OnStep(in TrainingProgress progress)
        {
            if (++_steps == step) stop.Cancel();
        }

        public void OnEpoch(EpochResult result)
        {
        }
    }
}
