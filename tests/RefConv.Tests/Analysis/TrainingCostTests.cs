using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Analysis;
using RefConv.Models.Train;

namespace RefConv.Tests.Analysis;

/// <summary>Counts of the cost table beside formulas; of what is measured only that it is.</summary>
public sealed class TrainingCostTests
{
    [Fact]
    public void CountsAreThoseOfTheFormulas()
    {
        const int Batch = 4;
        var spec = new ModelSpec("mobilenet_v1") { Classes = 10, Width = 0.125, ImageSize = 32, SmallImages = true };
        var cost = TrainingCost.Measure(spec, new RefConvMethod(), LayerPolicy.LargerThan1, Batch, () => new CpuDevice(threads: 1));
        Assert.Equal(15, cost.Rows.Count); // the stem, 13 depthwise layers, and the whole
        // Depthwise, 8 channels on 32×32: 72 weights; refocus weights 8·8·9; a transform of 8 channels of 3×3 with 8·9 terms each.
        var row = cost.Rows.Single(r => r.Layer == "model.1.0");
        Assert.Equal((72, 72 + 576), (row.Plain.Parameters, row.Refconv.Parameters));
        Assert.Equal((Batch * 1024 * 72, (Batch * 1024 * 72) + (72 * 8 * 9)), (row.Plain.Macs, row.Refconv.Macs));
        long maps = Batch * 1024 * 8 * 4;
        Assert.Equal((maps + (72 * 4), maps + ((72 + 576 + 72) * 4)), (row.Plain.Bytes, row.Refconv.Bytes));

        var (total, layers) = (cost.Rows[^1], cost.Rows.Take(14).ToArray());
        Assert.Equal("total", total.Layer);
        Assert.Equal(layers.Sum(r => r.Refconv.Parameters - r.Plain.Parameters), total.Refconv.Parameters - total.Plain.Parameters);
        Assert.Equal(layers.Sum(r => r.Refconv.Macs - r.Plain.Macs), total.Refconv.Macs - total.Plain.Macs);
        Assert.Equal(layers.Sum(r => r.Refconv.Bytes - r.Plain.Bytes), total.Refconv.Bytes - total.Plain.Bytes);
        Assert.All(cost.Rows, r => Assert.True(r.Plain.StepMs > 0 && r.Refconv.StepMs > 0));
        Assert.Equal((total.Plain.StepMs, total.Refconv.StepMs, Batch), (cost.StepMs.Plain, cost.StepMs.Refconv, cost.Batch));
        // Weights, gradients and velocities of the refocus weights are more; and no form is cheaper than its own weights and maps of one layer.
        Assert.True(cost.Memory.RefconvPeakBytes > cost.Memory.PlainPeakBytes);
        Assert.True(cost.Memory.PlainPeakBytes > (total.Plain.Parameters * 4) + maps);
    }

    [Fact]
    public void AStepIsTimedWithItsRecipe()
    {
        // Not the time but what was done can be tested: an optimiser lends its state, an average a copy of the weights.
        long Peak(Recipe recipe)
        {
            using var ofItsOwn = new CpuDevice(threads: 1);
            using var model = Zoo.Create(new ModelSpec("mobilenet_v1") { Classes = 10, Width = 0.25, ImageSize = 32, SmallImages = true }, new Initializer(ofItsOwn));
            Assert.True(StepTime.Milliseconds(model, 1, 1, recipe) > 0);
            return ofItsOwn.Memory.PeakRentedBytes;
        }

        long weights = 4 * 200_000, sgd = Peak(new Recipe()), adam = Peak(new Recipe { Optimizer = OptimizerKind.AdamW }), average = Peak(new Recipe { EmaDecay = 0.9 });
        Assert.True(adam > sgd + weights, $"AdamW keeps a square of every gradient beside SGD's velocity: {adam} and {sgd} bytes");
        Assert.True(average > sgd + weights, $"an average is another model: {average} and {sgd} bytes");
    }
}
