using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Tests.Methods;

/// <summary>A training step of each block as PyTorch computes it: result, gradients, running statistics, and the evaluation afterwards.</summary>
public sealed class BranchBlockGoldenTests : MethodTest
{
    /// <summary>Checksums (sum, weighted sum) of y, all parameters' gradients, dx, all running statistics, y in evaluation; see tests/Golden/branch_blocks.py.</summary>
    public static TheoryData<string, int[], double[]> Goldens => new()
    {
        { "acb", [4, 6, 3, 1, 1], [-82.334985133796, -784.295373919916, -4.970278764002, -201.391102683574, 1.885131038690, 31.608816550338, 16.409831752176, 132.697262591340, -34.258832242201, -344.868324211110] },
        { "acb", [4, 4, 5, 2, 2], [11.988107036670, 79.843944545034, 3.433522036472, 45.824350050110, -1.963417592119, 1.500275578694, 7.882999395432, 77.553026648180, 24.230529088069, 190.742653120342] },
        { "repvgg", [4, 4, 3, 1, 2], [41.958374628345, 337.499254115863, -24.269729640396, -82.104974335372, 0.350807093197, -28.560845365406, 7.823271376786, 76.945811800645, 87.731383204555, 734.430543567170] },
        { "repvgg", [4, 6, 3, 2, 1], [-27.972249752230, -227.281530612898, 3.136313160819, 72.104781349294, -1.151285996455, -66.392043685540, 11.177137161384, 79.315873609874, -20.545999720047, -169.399881321339] },
        { "dbb", [4, 6, 3, 1, 1], [-8.907829534192, -73.458107403868, 19.045910462413, 234.367694456752, -0.482311074887, 32.290632784585, 28.639717088840, 275.240255396071, 84.338883685304, 729.019318322751] },
        { "dbb", [4, 6, 3, 2, 2], [-2.545094152626, -49.739230985803, -14.726068282038, -157.102316234041, 0.397342614762, 30.605809919825, 28.458149541931, 272.780109203638, 22.476442460402, 196.039560879815] },
        { "dbb", [5, 5, 5, 1, 5], [96.778989098117, 924.366650375639, -66.694395847056, -1075.899206963152, -1.322397909136, -33.044906971595, 20.218815874831, 202.108669980539, 160.916835629302, 1452.872191302033] },
    };

    [Theory]
    [MemberData(nameof(Goldens))]
    public void ATrainingStepIsPyTorchs(string method, int[] shape, double[] golden)
    {
        foreach (var device in new Device[] { Reference, Cpu })
        {
            double tolerance = device is ReferenceDevice ? 1e-8 : 2e-3;
            var (cin, cout, k, stride, groups) = (shape[0], shape[1], shape[2], shape[3], shape[4]);
            using var conv = RandomConv(device, cin, cout, (k, k), new Conv2dOptions(stride, k / 2, 1, groups), false, 1);
            using var norm = RandomNorm(device, cout, 2);
            using var block = Reparameterizations.Create(method).Expand(Site(conv, norm), new Initializer(device));
            var state = block.NamedParameters().Where(p => !p.Parameter.IsInteger).OrderBy(p => p.Name, StringComparer.Ordinal).ToArray();
            for (int i = 0; i < state.Length; i++)
            {
                bool variance = state[i].Name.EndsWith("running_var", StringComparison.Ordinal);
                state[i].Parameter.FromTorch([.. Golden(state[i].Parameter.Data.Length, i + 1).Select(v => variance ? v + 1 : v)]);
            }
            using var x = Tensor.From(device, ToChannelsLast(Golden(2 * cin * 42, 50), 2, cin, 7, 6), new Shape(2, 7, 6, cin), requiresGrad: true);
            using (var tape = Tape.Train())
            {
                var y = block.Forward(x);
                Check(ToChannelsFirst(y.ToDoubleArray(), y.Shape), 0, "y");
                using var dy = Tensor.From(device, ToChannelsLast(Golden(y.Shape.Count, 51), y.Shape[0], y.Shape[3], y.Shape[1], y.Shape[2]), y.Shape);
                tape.Backward(y, dy);
            }
            Check([.. state.Where(p => p.Parameter.Trainable).SelectMany(p => p.Parameter.Layout.ToTorch<double>(p.Parameter.GradientToDoubleArray()))], 2, "gradients");
            Check(ToChannelsFirst(x.GradientToDoubleArray(), x.Shape), 4, "dx");
            Check([.. state.Where(p => p.Name.Contains("running", StringComparison.Ordinal)).SelectMany(p => p.Parameter.ToTorchDouble())], 6, "running statistics");
            Assert.All(block.NamedParameters().Where(p => p.Parameter.IsInteger), p => Assert.Equal(1, p.Parameter.Item()));
            block.Eval();
            using var inference = Tape.Inference();
            var z = block.Forward(x);
            Check(ToChannelsFirst(z.ToDoubleArray(), z.Shape), 8, "evaluation");

            void Check(double[] values, int at, string what)
            {
                var (sum, weighted) = Checksum(values);
                Assert.True(Math.Abs(golden[at] - sum) < tolerance, $"{what} on {device}: sum {sum:R}, PyTorch {golden[at]:R}");
                Assert.True(Math.Abs(golden[at + 1] - weighted) < 10 * tolerance, $"{what} on {device}: weighted {weighted:R}, PyTorch {golden[at + 1]:R}");
            }
        }
    }
}
