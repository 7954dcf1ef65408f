using MathNet.Numerics.LinearAlgebra;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Optim;

namespace RefConv.Tests.Methods;

/// <summary>WN, CWN and OWN: golden values, what each promises of its kernel, training as in PyTorch, and what is refused.</summary>
public sealed class WeightNormTests : ComputedKernelTest
{
    private static readonly IReparameterization[] s_methods = [new WnMethod(), new CwnMethod(), new OwnMethod(), new CwnMethod(new() { AdjustScale = true }), new OwnMethod(new() { AdjustScale = true })];

    /// <summary>Made elsewhere with the filling that tests/Golden/weightnorm.py describes: kernels fill([4,3,3,3], 13) of length 1, without ε.</summary>
    [Fact]
    public void GoldenValues()
    {
        using var conv = new Conv2d(Reference, 3, 4, (3, 3), new Conv2dOptions(), bias: false);
        conv.Weight.FromTorch(Golden(108, 13));
        using var wn = Expand<Module>(new WnMethod(), conv);
        wn.NamedParameters().Single(p => p.Name == "weight_g").Parameter.FromTorch(new double[] { 1, 1, 1, 1 });
        using var cwn = Expand<Module>(new CwnMethod(new() { Scale = 1, Epsilon = 0 }), conv);
        using var own = Expand<Module>(new OwnMethod(new() { Scale = 1 }), conv);
        Check(wn, -0.120812560924, -3.277962109908);
        Check(cwn, 0, -1.903028245070);
        Check(own, 0, -1.597325294472);

        static void Check(Module form, double sum, double weighted)
        {
            var actual = Checksum(EffectiveKernel(form));
            Assert.Equal(sum, actual.Sum, 1e-10);
            Assert.Equal(weighted, actual.Weighted, 1e-10);
        }
    }

    [Fact]
    public void EveryLayerMergesToTheKernelOfItsForwardPass()
    {
        foreach (var layer in Layers)
        foreach (var device in new Device[] { Cpu, Reference })
        foreach (var method in s_methods)
        {
            using var conv = Random(device, layer);
            if (method.Refusal(new ConvSite("conv", conv)) is not null) continue;
            using var form = Expand<Module>(method, conv);
            using var merged = ((IReparameterized)form).Merge();
            Assert.Equal((conv.Options, conv.KernelSize, layer.Bias), (merged.Options, merged.KernelSize, merged.Bias != null));
            using var x = Normal(device, new(2, 9, 7, layer.In), 4);
            Assert.Equal(Run(form, x), Run(merged, x)); // the very bits
            if (method is WnMethod) AssertClose(Run(conv, x), Run(form, x), Tolerance(device), $"WN of {layer} does not start where it was");
            else Assert.True(Difference(Run(conv, x), Run(form, x)) > 0.01, $"{method.Name} of {layer} changed nothing");
        }
    }

    [Fact]
    public void FiltersHaveTheLengthsMeansAndAnglesPromised()
    {
        foreach (var layer in Layers)
        foreach (var device in new Device[] { Cpu, Reference })
        {
            double tolerance = device is CpuDevice ? 3e-6 : 1e-10;
            using var conv = Random(device, layer);
            double[] plain = conv.Weight.ToTorchDouble();
            int n = (int)conv.FanIn;
            using (var wn = Expand<Module>(new WnMethod(), conv))
            {
                // Its lengths are parameters: trained to others, the filters have those.
                wn.NamedParameters().Single(p => p.Name == "weight_g").Parameter.FromTorch(Enumerable.Range(1, layer.Out).Select(o => (double)o).ToArray());
                double[] w = EffectiveKernel(wn);
                for (int o = 0; o < layer.Out; o++) Assert.Equal(o + 1, Norm(w, o, n), 10 * tolerance);
            }
            if (n == 1) continue;
            using var cwn = Expand<Module>(new CwnMethod(new() { Epsilon = 0 }), conv);
            using var own = Expand<OrthogonalConv2d>(new OwnMethod(), conv);
            Assert.True(own.GroupSize < n && layer.Out % own.GroupSize == 0);
            foreach (var form in new Module[] { cwn, own })
            {
                double[] w = EffectiveKernel(form);
                for (int o = 0; o < layer.Out; o++)
                {
                    Assert.Equal(1.414, Norm(w, o, n), 3 * tolerance);
                    Assert.Equal(0, w.Skip(o * n).Take(n).Sum(), 3 * tolerance);
                }
                if (form != own) continue;
                for (int a = 0; a < layer.Out; a++)
                for (int b = a / own.GroupSize * own.GroupSize; b < a; b++) Assert.Equal(0, Dot(w, a, b, n), 3 * tolerance);
            }
        }
    }

    [Fact]
    public void ThreeStepsOfTrainingAreThoseOfPyTorch()
    {
        foreach (var (name, sums) in WeightNormFixture.Steps)
        foreach (var device in new Device[] { Reference, Cpu })
        {
            var (method, cin, cout, k, groups) = FixtureLayer(name);
            using var conv = new Conv2d(device, cin, cout, (k, k), new Conv2dOptions(2, k / 2, 1, groups), bias: true);
            conv.Weight.FromTorch([.. Golden(conv.Weight.Data.Length, 30).Select(v => Math.Sin(40 * v))]);
            conv.Bias!.FromTorch(Golden(cout, 31));
            using var form = Expand<Module>(method, conv);
            var parameters = form.NamedParameters().ToDictionary(p => p.Name, p => p.Parameter);
            double tolerance = device is CpuDevice ? 2e-4 : 1e-9;
            Check(EffectiveKernel(form), 0);
            using var optimizer = new Sgd([new ParameterGroup([.. form.NamedParameters().Where(p => p.Parameter.Trainable)])], 0.9);
            using var x = Tensor.From(device, ToChannelsLast(Golden(2 * cin * 42, 32), 2, cin, 7, 6), new Shape(2, 7, 6, cin));
            for (int step = 0; step < 3; step++)
            {
                using var tape = Tape.Train();
                var y = form.Forward(x);
                using var target = Tensor.From(device, ToChannelsLast(Golden(y.Shape.Count, 33), 2, cout, y.Shape[1], y.Shape[2]), y.Shape);
                tape.Backward(y.Multiply(y).Multiply(target).Mean());
                optimizer.Step(0.1);
                optimizer.ZeroGrad();
            }
            Check(EffectiveKernel(form), 2);
            Check(parameters[name.StartsWith("wn") ? "weight_v" : "weight"].ToTorchDouble(), 4);
            Check(parameters[name.StartsWith("wn") ? "weight_g" : "WNScale"].ToTorchDouble(), 6);
            Check(parameters["bias"].ToTorchDouble(), 8);

            void Check(double[] values, int at)
            {
                var (sum, weighted) = Checksum(values);
                Assert.True(Math.Abs(sum - sums[at]) < tolerance && Math.Abs(weighted - sums[at + 1]) < 10 * tolerance, $"{name} on {device}: sums {at} are {sum}, {weighted}");
            }
        }
    }

    private static (IReparameterization Method, int In, int Out, int K, int Groups) FixtureLayer(string name) => name switch
    {
        "wn dense" => (new WnMethod(), 4, 6, 3, 1),
        "wn depthwise" => (new WnMethod(), 8, 8, 3, 8),
        "cwn dense" => (new CwnMethod(), 4, 6, 3, 1),
        "cwn grouped, trained scale" => (new CwnMethod(new() { AdjustScale = true }), 4, 6, 5, 2),
        "own dense" => (new OwnMethod(), 4, 6, 3, 1),
        "own depthwise" => (new OwnMethod(), 16, 16, 3, 16),
        "own grouped, trained scale" => (new OwnMethod(new() { AdjustScale = true, MaxGroupSize = 3 }), 4, 6, 5, 2),
        _ => throw new ArgumentException(name),
    };

    [Fact]
    public void GradientsOfWholeLayersAgreeWithDifferences()
    {
        foreach (var method in s_methods)
        foreach (var layer in new Layer[] { new(3, 4, (3, 3), new Conv2dOptions(2, 1, 1, 1), true), new(6, 6, (3, 3), new Conv2dOptions(1, 1, 1, 6), false), new(5, 3, (1, 1), new Conv2dOptions(), true) })
        {
            using var conv = Random(Reference, layer);
            using var form = Expand<Module>(method, conv);
            using var x = Normal(Reference, new(2, 5, 4, layer.In), 1, requiresGrad: true);
            var result = GradCheck.Run([x, .. form.TrainableParameters()], () => form.Forward(x), maxElements: 40);
            Assert.True(result.MaxError < 1e-7, $"{method.Name} {layer}: {result}");
        }
    }

    [Fact]
    public void EqualEigenvaluesDoNoHarm()
    {
        // Four centred orthonormal filters: all eigenvalues are equal, and a gradient divided by their differences would be no number.
        using var conv = Random(Reference, new(1, 4, (3, 3), new Conv2dOptions(), false));
        using var first = Expand<Module>(new OwnMethod(new() { Scale = 1 }), conv);
        conv.Weight.FromTorch(EffectiveKernel(first));
        using var form = Expand<Module>(new OwnMethod(), conv);
        using var x = Normal(Reference, new(1, 5, 5, 1), 2);
        var result = GradCheck.Run([.. form.TrainableParameters()], () => form.Forward(x));
        Assert.True(result.MaxError < 1e-8, result.ToString());
    }

    [Fact]
    public unsafe void EigenvaluesAreThoseOfAnotherLibrary()
    {
        foreach (int m in new[] { 1, 2, 3, 8, 33, 64 })
        {
            double[] z = Normal(m * (m + 3), (ulong)m), a = new double[m * m], u = new double[m * m], values = new double[m];
            for (int i = 0; i < m; i++)
                for (int j = 0; j < m; j++)
                    for (int k = 0; k < m + 3; k++) a[(i * m) + j] += z[(i * (m + 3)) + k] * z[(j * (m + 3)) + k];
            var matrix = Matrix<double>.Build.Dense(m, m, (i, j) => a[(i * m) + j]);
            fixed (double* pa = a, pu = u, pv = values) SymmetricEigen.Decompose(pa, m, pu, pv);
            double[] expected = [.. matrix.Evd(Symmetricity.Symmetric).EigenValues.Select(v => v.Real).Order()];
            var vectors = Matrix<double>.Build.Dense(m, m, (i, j) => u[(i * m) + j]);
            Assert.True((vectors * vectors.Transpose() - Matrix<double>.Build.DenseIdentity(m)).FrobeniusNorm() < 1e-12 * m);
            Assert.True((vectors.Transpose() * Matrix<double>.Build.DiagonalOfDiagonalArray(values) * vectors - matrix).FrobeniusNorm() < 1e-12 * matrix.FrobeniusNorm());
            foreach (var (e, v) in expected.Zip(values.Order())) Assert.Equal(e, v, 1e-12 * expected[^1]);
        }
    }

    [Fact]
    public void TheInverseRootIsThatOfNewtonAndSchulz()
    {
        // Y₀ = S/‖S‖, X₀ = I; T = ½(3I − X·Y); Y ← Y·T, X ← T·X; S^(−½) = X/√‖S‖: another way to the same kernel.
        using var conv = Random(Reference, new(4, 8, (3, 3), new Conv2dOptions(), false));
        var v = Matrix<double>.Build.DenseOfRowArrays(conv.Weight.ToTorchDouble().Chunk(36));
        var z = Matrix<double>.Build.Dense(8, 36, (i, j) => v[i, j] - v.Row(i).Average());
        Matrix<double> s = z * z.Transpose(), one = Matrix<double>.Build.DenseIdentity(8), y = s / s.FrobeniusNorm(), x = one;
        for (int round = 0; round < 40; round++)
        {
            var t = 0.5 * ((3 * one) - (x * y));
            (y, x) = (y * t, t * x);
        }
        double[] expected = [.. (1.414 * (x / Math.Sqrt(s.FrobeniusNorm())) * z).EnumerateRows().SelectMany(r => r)];
        using var own = Expand<Module>(new OwnMethod(), conv);
        AssertClose(expected, EffectiveKernel(own), 1e-10, "Newton-Schulz");
    }

    [Fact]
    public void AGroupAsLargeAsAFilterCannotBeOrthogonal()
    {
        // What the rank condition is for: 9 centred filters of 9 elements live in 8 dimensions, and no matrix makes them orthonormal.
        double Worst(int group)
        {
            using var v = Normal(Reference, new(9, 72), 1);
            using var scale = Tensor.Full(Reference, new Shape(72), 1);
            using var w = Tensor.Full(Reference, v.Shape, 0);
            Reference.Kernels.OrthogonalizeForward(new OrthogonalizeGeometry(9, 72, group), v.Data, scale.Data, default, w.Data);
            var filters = Matrix<double>.Build.Dense(9, 72, (i, j) => w.ToDoubleArray()[(i * 72) + j]);
            double worst = 0;
            for (int first = 0; first < 72; first += group)
            {
                var gram = filters.SubMatrix(0, 9, first, group).Transpose() * filters.SubMatrix(0, 9, first, group);
                worst = Math.Max(worst, (gram - Matrix<double>.Build.DenseIdentity(group)).Enumerate().Max(Math.Abs));
            }
            return worst;
        }
        Assert.True(Worst(8) < 1e-10);
        Assert.True(Worst(9) > 0.1);
        using var conv = new Conv2d(new Initializer(Cpu, 1), 72, 72, 3, padding: 1, groups: 72);
        using var own = Expand<OrthogonalConv2d>(new OwnMethod(), conv);
        Assert.Equal(8, own.GroupSize);
        string refusal = new OwnMethod(new() { NormGroups = 8 }).Refusal(new ConvSite("conv", conv))!;
        Assert.Contains("leaves 8 dimensions", refusal);
        Assert.Contains("at least 9 groups", refusal);
        Assert.Null(new OwnMethod(new() { NormGroups = 9 }).Refusal(new ConvSite("conv", conv)));
        Assert.Contains("do not divide", new OwnMethod(new() { NormGroups = 7 }).Refusal(new ConvSite("conv", conv)));
        using var kernel = Normal(Cpu, new(3, 3, 1, 9), 2);
        using var nine = Tensor.Full(Cpu, new Shape(9), 1);
        using var tape = Tape.Inference();
        Assert.Contains("centring leaves 8", Assert.Throws<ShapeException>(() => kernel.Orthogonalize(nine, 9)).Message);
    }

    [Fact]
    public void WhatCannotBeNormalisedIsRefusedWithTheReasonAndTheAlternative()
    {
        using var scalar = new Conv2d(new Initializer(Cpu, 1), 6, 6, 1, groups: 6);
        var site = new ConvSite("conv", scalar);
        Assert.Contains("one element", new CwnMethod().Refusal(site));
        Assert.Contains("use WN", new CwnMethod().Refusal(site));
        Assert.Contains("one element", new OwnMethod().Refusal(site));
        Assert.Null(new WnMethod().Refusal(site));
        Assert.Contains("one element", Assert.Throws<ArgumentException>(() => new CwnMethod().Expand(site, new Initializer(Cpu))).Message);
        using var zero = new Conv2d(Cpu, 2, 2, (3, 3), new Conv2dOptions(), bias: false);
        foreach (var method in s_methods) Assert.Contains("is zero", method.Refusal(new ConvSite("conv", zero)));
        using var form = Expand<Module>(new WnMethod(), scalar);
        Assert.Contains("merge that first", new CwnMethod().Refusal(new ConvSite("conv", form)));
        Assert.Contains("above 0", Assert.Throws<ArgumentException>(() => new CwnMethod(new() { Scale = 0 })).Message);
        Assert.Contains("at least 0", Assert.Throws<ArgumentException>(() => new CwnMethod(new() { Epsilon = -1 })).Message);
        Assert.Contains("at least 1 filter", Assert.Throws<ArgumentException>(() => new OwnMethod(new() { MaxGroupSize = 0 })).Message);
    }

    [Fact]
    public void FiltersOfZeroStayFiniteInBothDirections()
    {
        foreach (var device in new Device[] { Cpu, Reference })
        foreach (var method in s_methods)
        {
            using var conv = Random(device, new(3, 4, (3, 3), new Conv2dOptions(1, 1, 1, 1), false));
            double[] weight = conv.Weight.ToTorchDouble();
            Array.Clear(weight, 27, 27);           // a filter of zeros: no direction
            weight.AsSpan(54, 27).Fill(0.5);       // a constant one: none when it is centred
            weight.AsSpan(0, 27).CopyTo(weight.AsSpan(81)); // two parallel ones: no orthogonal pair
            conv.Weight.FromTorch(weight);
            using var form = Expand<Module>(method, conv);
            using var x = Normal(device, new(1, 5, 5, 3), 1);
            using (var tape = Tape.Train())
            {
                var y = form.Forward(x);
                Assert.All(y.ToDoubleArray(), v => Assert.True(double.IsFinite(v)));
                tape.Backward(y.Multiply(y).Mean());
            }
            foreach (var (name, parameter) in form.NamedParameters().Where(p => p.Parameter.Trainable))
                Assert.True(parameter.GradientToDoubleArray().All(double.IsFinite), $"{method.Name} {name}");
        }
    }

    [Fact]
    public void KeysAreThoseOfTheOfficialCodesAndScalesAreBuffersUnlessTrained()
    {
        using var conv = Random(Cpu, new(4, 6, (3, 3), new Conv2dOptions(1, 1, 1, 1), true));
        Check(new WnMethod(), ["bias [6]", "weight_g [6, 1, 1, 1]", "weight_v [6, 4, 3, 3]"], 216 + 6 + 6);
        Check(new CwnMethod(), ["weight [6, 4, 3, 3]", "bias [6]", "WNScale [6, 1, 1, 1]"], 216 + 6);
        Check(new OwnMethod(), ["weight [6, 4, 3, 3]", "bias [6]", "WNScale [6, 1, 1, 1]"], 216 + 6);
        Check(new OwnMethod(new() { AdjustScale = true }), ["weight [6, 4, 3, 3]", "bias [6]", "WNScale [6, 1, 1, 1]"], 216 + 6 + 6);

        void Check(IReparameterization method, string[] keys, long parameters)
        {
            using var form = Expand<Module>(method, conv);
            Assert.Equal(keys, form.NamedParameters().Select(p => $"{p.Name} {p.Parameter.TorchShape}"));
            Assert.Equal(parameters, form.ParameterCount());
            Assert.Equal(parameters, form.TrainableParameters().Sum(p => p.Data.Length));
            // What the method says of itself makes it again.
            Assert.Equal(method.Options.ToJsonString(), Reparameterizations.Create(method.Name, method.Options).Options.ToJsonString());
        }
    }

    private static double Dot(double[] w, int a, int b, int n)
    {
        double sum = 0;
        for (int i = 0; i < n; i++) sum += w[(a * n) + i] * w[(b * n) + i];
        return sum;
    }

    private static double Norm(double[] w, int o, int n) => Math.Sqrt(Dot(w, o, o, n));
}
