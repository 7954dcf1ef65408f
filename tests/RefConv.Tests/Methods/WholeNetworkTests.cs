using System.Text.Json.Nodes;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Optim;

namespace RefConv.Tests.Methods;

/// <summary>Every method on whole networks: expanded, trained for two steps, saved, copied and merged. A new method is covered by its row in the registry.</summary>
public sealed class WholeNetworkTests : MethodTest
{
    public static TheoryData<string, string> Rows
    {
        get
        {
            var rows = new TheoryData<string, string>();
            foreach (string method in Reparameterizations.Names)
            {
                rows.Add(method, "resnet18");
                rows.Add(method, "mobilenet_v2");
            }
            return rows;
        }
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void TrainedAndMergedItIsThePlainNetworkAgain(string method, string architecture)
    {
        using var plain = Plain(architecture);
        string[] keys = [.. plain.NamedParameters().Select(p => p.Name)];
        using var model = plain.Expand(Create(method), seed: 5);
        Assert.Equal(keys, plain.NamedParameters().Select(p => p.Name));
        Train(model);
        using var x = Normal(Cpu, model.InputShape(3), 9);
        if (!model.NamedModules().Any(m => m.Module is IReparameterized or IReparameterizedNorm))
        {
            model.Eval();
            Assert.Contains("Nothing to merge", Assert.Throws<InvalidOperationException>(() => model.Merge()).Message);
            return;
        }

        Assert.Contains("Eval()", Assert.Throws<InvalidOperationException>(() => model.Merge()).Message);
        float[][] before = Values(model);
        double[] expected = Run(model, x);
        var (merged, report) = model.Merge();
        using (merged)
        {
            Assert.True(report.Worst.RelativeDifference < 1e-4, $"{report.Worst}");
            using var fresh = Plain(architecture);
            StateDict.Load(fresh, StateDict.Of(merged), strict: true); // the plain architecture, key by key
            Assert.Equal(keys, merged.NamedParameters().Select(p => p.Name));
            double[] actual = Run(fresh, x);
            AssertClose(expected, actual, 1e-4, method);
            for (int i = 0; i < 3; i++) Assert.Equal(Argmax(expected, i), Argmax(actual, i));
            // As fast as the plain network: step by step the same plan.
            plain.Eval();
            using var plainPlan = plain.Compile(3);
            using var plan = merged.Compile(3);
            Assert.Equal(plainPlan.Steps, plan.Steps);
            AssertClose(expected, plan.Run(x).ToDoubleArray(), 1e-4, "compiled");
        }
        Assert.Equal(before, Values(model)); // merging has not touched it
        using var unmerged = model.Compile(3);
        AssertClose(expected, unmerged.Run(x).ToDoubleArray(), 1e-4, "compiled in training form");
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void SavedAndCopiedItGoesOnToTheBit(string method, string architecture)
    {
        using var folder = new TemporaryFolder();
        using var plain = Plain(architecture);
        using var model = plain.Expand(Create(method), seed: 5);
        Train(model);
        ModelFile.Save(model, folder.File("model.safetensors"));
        using var copy = (Model)model.Clone();
        using var loaded = ModelFile.Load(folder.File("model.safetensors"), Cpu);
        Assert.Equal(model.Forms.Select(f => (f.Method.Name, string.Join(' ', f.Layers))), loaded.Forms.Select(f => (f.Method.Name, string.Join(' ', f.Layers))));

        Train(model, epoch: 1);
        Train(copy, epoch: 1);
        loaded.Train();
        Train(loaded, epoch: 1);
        var expected = StateDict.Of(model);
        foreach (var other in new[] { copy, loaded })
        {
            var state = StateDict.Of(other);
            Assert.Equal(expected.Keys, state.Keys);
            Assert.All(expected, e => Assert.True(e.Value.Read().AsSpan().SequenceEqual(state[e.Key].Read()), $"{e.Key} differs"));
        }
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void TwoBackwardPassesAddUp(string method, string architecture)
    {
        using var plain = Plain(architecture);
        using var model = plain.Expand(Create(method), seed: 5);
        Train(model);
        foreach (var norm in model.NamedModules().Select(m => m.Module).OfType<BatchNorm2d>()) norm.Momentum = 0; // both passes see the same function
        Backward(model, step: 0);
        var parameters = model.NamedParameters().Where(p => p.Parameter.Trainable).ToArray();
        double[][] once = [.. parameters.Select(p => p.Parameter.GradientToDoubleArray())];
        Assert.Contains(once, g => g.Max(Math.Abs) > 1e-2);
        Backward(model, step: 0);
        for (int i = 0; i < once.Length; i++)
        {
            double[] twice = parameters[i].Parameter.GradientToDoubleArray();
            // A bias in front of a norm has no gradient but what rounding leaves.
            double allowed = (1e-4 * once[i].Max(Math.Abs)) + 1e-5;
            for (int j = 0; j < twice.Length; j++)
                Assert.True(Math.Abs(twice[j] - (2 * once[i][j])) <= allowed, $"{parameters[i].Name}[{j}]: {once[i][j]} became {twice[j]}");
        }
        model.ZeroGrad();
    }

    /// <summary>A method that changes the network while it is trained does so at the first opportunity.</summary>
    private static IReparameterization Create(string method) => Reparameterizations.Create(method, method == "dyrep" ? new JsonObject { ["every"] = 1 } : null);

    /// <summary>A narrow network for small pictures, with statistics as after some training.</summary>
    private Model Plain(string architecture) =>
        Randomise(Zoo.Create(new ModelSpec(architecture) { Classes = 5, Width = 0.125, ImageSize = 12, SmallImages = true }, new Initializer(Cpu, 3)));

    /// <summary>An epoch of two steps, at whose end a method may change the model.</summary>
    private void Train(Model model, int epoch = 0)
    {
        var evolving = model.Forms.Select(f => f.Method).OfType<IEvolving>().ToArray();
        using (var optimizer = new Sgd([new ParameterGroup([.. model.NamedParameters().Where(p => p.Parameter.Trainable)], 1e-4)], 0.9))
        {
            for (int step = 0; step < 2; step++)
            {
                Backward(model, step);
                foreach (var method in evolving) method.AfterBackward(model);
                optimizer.Step(0.01);
                optimizer.ZeroGrad();
            }
        }
        foreach (var method in evolving)
        {
            Assert.True(method.AfterEpoch(model, epoch, seed: 4, forward: null), "nothing has changed");
            Assert.Contains(model.NamedModules(), m => m.Module is DyRepBlock);
        }
    }

    private void Backward(Model model, int step)
    {
        using var x = Normal(Cpu, model.InputShape(4), 6);
        using var labels = Tensor.From(Cpu, new float[] { 0, 3, 1, 4 }, new Shape(4));
        using var tape = Tape.Train(step, seed: 1);
        tape.Backward(model.Forward(x).CrossEntropy(labels));
    }

    private static float[][] Values(Model model) => [.. model.NamedParameters().Select(p => p.Parameter.ToArray())];

    private static int Argmax(double[] scores, int row) => Array.IndexOf(scores[(row * 5)..((row + 1) * 5)], scores[(row * 5)..((row + 1) * 5)].Max());
}
