using MathNet.Numerics.LinearAlgebra;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Analysis;
using RefConv.Models.Data;
using RefConv.Models.Train;
using RefConv.Tests.Models;

namespace RefConv.Tests.Analysis;

/// <summary>The path of training: epochs that are kept, and the directions along which they lie.</summary>
public sealed class TrainingPathTests : DeviceTest
{
    private readonly TemporaryFolder _folder = new();

    public override void Dispose()
    {
        _folder.Dispose();
        base.Dispose();
    }

    [Fact]
    public void AStraightPathIsExplainedByItsDirection()
    {
        using var end = new SmallNet(Cpu);
        var direction = Weights(end).ToDictionary(w => w.Key, w => Array.ConvertAll(Normal(w.Value.Length, 5), v => (float)v));
        double length = Math.Sqrt(direction.Values.Sum(d => d.Sum(v => (double)v * v)));
        var path = PathDirections.Of([.. new[] { 3.0, 2, 0.5, 0 }.Select(t => Along(end, direction, t))], end);
        Assert.Equal((1, 0), (Math.Round(path.Explained[0], 9), path.Explained[1]));
        Assert.Null(path.Y);
        foreach (var (name, step) in path.X.Steps)
        {
            for (int i = 0; i < step.Length; i++) Assert.Equal(direction[name][i] / length, step[i], 1e-5);
        }
        Assert.Equal([3, 2, 0.5, 0], path.Coordinates.Select(c => Math.Round(c.X / length, 5)));

        var pictures = ShapesDataset.Train(20);
        Assert.Contains("straight line", Assert.Throws<ArgumentException>(() => LossLandscape.Compute(end, pictures, new LandscapeOptions { Points = 3, Path = path })).Message);
        var line = LossLandscape.Compute(end, pictures, new LandscapeOptions { Points = 5, Path = path, Line = true });
        Assert.Equal("pca", line.Directions);
        Assert.Equal(1.2 * 3 * length, line.Xs[^1], 1e-4 * length);
        Assert.Equal(4, line.Path!.Length);
    }

    [Fact]
    public void DirectionsAreThePrincipalComponents()
    {
        using var end = new SmallNet(Cpu);
        var weights = Weights(end);
        string[] names = [.. weights.Keys];
        var epochs = Enumerable.Range(0, 6).Select(e => weights.ToDictionary(w => w.Key, w => Array.ConvertAll(Normal(w.Value.Length, (ulong)(e + 10)), v => (float)(v * (e + 1))))).ToArray();
        var path = PathDirections.Of(epochs, end);

        // An independent way: the singular value decomposition of the centred matrix of all weights.
        double[] Flat(IReadOnlyDictionary<string, float[]> all) => [.. names.SelectMany(n => all[n]).Select(v => (double)v)];
        var matrix = Matrix<double>.Build.DenseOfRowArrays(epochs.Select(Flat));
        var mean = matrix.ColumnSums() / 6;
        var svd = Matrix<double>.Build.DenseOfRowVectors(matrix.EnumerateRows().Select(r => r - mean)).Svd();
        double all = svd.S.Sum(s => s * s);
        double[] last = Flat(weights);
        foreach (var (k, direction) in new[] { (0, path.X), (1, path.Y!) })
        {
            Assert.Equal(svd.S[k] * svd.S[k] / all, path.Explained[k], 1e-6);
            double[] v = Flat(direction.Steps);
            Assert.Equal(1, Math.Abs(svd.VT.Row(k).Zip(v, (a, b) => a * b).Sum()), 1e-5);
            for (int e = 0; e < 6; e++)
                Assert.Equal(matrix.Row(e).Select((w, i) => (w - last[i]) * v[i]).Sum(), k == 0 ? path.Coordinates[e].X : path.Coordinates[e].Y, 1e-3);
        }
        Assert.All(new[] { path.Coordinates[0].X, path.Coordinates[0].Y }, c => Assert.True(c >= 0));
    }

    [Fact]
    public void WhatIsNoPathIsSaid()
    {
        using var end = new SmallNet(Cpu);
        var here = Weights(end);
        Says("at least two epochs", [here]);
        Says("are the same", [here, here, here]);
        Says("no weights like 'deep.weight'", [here, here.Where(w => w.Key != "deep.weight").ToDictionary()]);
        Assert.Contains("--keep-epochs", Assert.Throws<FileNotFoundException>(() => TrainingPath.Read(_folder.Path, Cpu)).Message);

        void Says(string phrase, IReadOnlyList<IReadOnlyDictionary<string, float[]>> epochs) => Assert.Contains(phrase, Assert.Throws<ArgumentException>(() => PathDirections.Of(epochs, end)).Message);
    }

    [Fact]
    public void ARunKeepsTheWeightsOfItsEpochs()
    {
        var recipe = TrainingBench.Short with { Epochs = 2 };
        var folder = new RunFolder(_folder.File("run"));
        folder.Create();
        using (var model = TrainingBench.Model(Cpu, "mobilenet_v1", refocused: true))
        {
            using var trainer = new Trainer(model, TrainingBench.Pictures, TrainingBench.State(recipe) with { KeepEpochs = true }, folder);
            Assert.False(trainer.Run(stopAfter: 1));
        }
        Assert.Equal(["epoch-000.safetensors", "epoch-001.safetensors"], folder.EpochFiles.Select(Path.GetFileName));
        DateTime began = File.GetLastWriteTimeUtc(folder.EpochFiles[0]);
        File.WriteAllText(_folder.File("run/epoch-best.safetensors"), "somebody else's");
        Assert.True(TrainingBench.Resume(Cpu, folder.Path)); // goes on keeping
        Assert.Equal(["epoch-000.safetensors", "epoch-001.safetensors", "epoch-002.safetensors"], folder.EpochFiles.Select(Path.GetFileName));
        Assert.Equal(began, File.GetLastWriteTimeUtc(folder.EpochFiles[0]));

        // The last epoch's are those of the run's end, without velocities; merged, they are those of the plain model.
        var last = TrainingBench.Tensors(folder.LastFile);
        Assert.Equal(last.Where(t => !t.Key.StartsWith("optimizer.", StringComparison.Ordinal)), TrainingBench.Tensors(folder.EpochFiles[2]));
        using var trained = ModelFile.Load(folder.LastFile, Cpu);
        using var merged = trained.Merge().Merged;
        var epochs = TrainingPath.Read(folder.Path, Cpu);
        Assert.Equal(3, epochs.Count);
        Assert.Equal(merged.NamedParameters().First(p => p.Name == "model.1.0.weight").Parameter.ToArray(), epochs[2]["model.1.0.weight"]);
        var path = PathDirections.Of(epochs, merged);
        Assert.Equal((0, 0), (Math.Round(path.Coordinates[2].X, 6), Math.Round(path.Coordinates[2].Y, 6)));
        Assert.Equal(1, path.Explained.Sum(), 1e-9); // three points lie in a plane
        Assert.True(TrainingPath.Read(folder.Path, Cpu, merged: false)[0].ContainsKey("model.1.0.convmap.weight"));
    }

    private static Dictionary<string, float[]> Weights(Module model) =>
        model.NamedParameters().Where(p => p.Parameter.Trainable && p.Parameter.TorchShape.Rank > 1).ToDictionary(p => p.Name, p => p.Parameter.ToArray());

    private static Dictionary<string, float[]> Along(Module end, Dictionary<string, float[]> direction, double t) =>
        Weights(end).ToDictionary(w => w.Key, w => w.Value.Select((v, i) => (float)(v + (t * direction[w.Key][i]))).ToArray());
}
