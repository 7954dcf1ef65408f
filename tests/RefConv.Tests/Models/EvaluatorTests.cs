using RefConv.Models;
using RefConv.Models.Data;
using RefConv.Models.Train;

namespace RefConv.Tests.Models;

/// <summary>How hits are counted, and what a model is measured on.</summary>
public sealed class EvaluatorTests : DeviceTest
{
    private const float NaN = float.NaN, Infinity = float.PositiveInfinity;

    public static TheoryData<float[], int, int> Rows => new() // scores, label, the smallest k for which it counts (0: never)
    {
        { [1, 2, 3, 0], 2, 1 },
        { [1, 2, 3, 0], 1, 2 },
        { [1, 2, 3, 0], 3, 4 },
        { [5, 5, 5, 5], 0, 1 }, // of equals the lower class counts first: all-equal scores are no hit for every class
        { [5, 5, 5, 5], 1, 2 },
        { [5, 5, 5, 5], 3, 4 },
        { [7, 5, 5, 5], 3, 4 },
        { [-Infinity, 1, 2, 3], 0, 4 },
        { [Infinity, 1, 2, Infinity], 3, 2 },
        { [NaN, 1, 2, 3], 0, 0 },
        { [1, NaN, 2, 3], 3, 0 }, // a row with NaN is wrong, whatever the label's own score
        { [NaN, NaN, NaN, NaN], 2, 0 },
    };

    [Theory]
    [MemberData(nameof(Rows))]
    public void TiesAndNaN(float[] scores, int label, int smallest)
    {
        for (int k = 1; k <= 5; k++)
            Assert.Equal(smallest > 0 && k >= smallest ? 1 : 0, Evaluator.CountCorrect(scores, [label], k));
    }

    [Fact]
    public void RowsAreCountedEachByItself() =>
        Assert.Equal(2, Evaluator.CountCorrect([0, 1, 2, 2, 1, 0, 0, 2, 1], [2, 1, 1], 1));

    [Fact]
    public void BatchesOfAnySizeGiveTheSameAndTheModeIsRestored()
    {
        using var model = TrainingBench.Model(Cpu, "mobilenet_v1");
        var test = TrainingBench.Pictures.Test;
        var whole = Evaluator.Evaluate(model, test);
        Assert.True(model.Training);
        List<int> done = [];
        var parts = Evaluator.Evaluate(model, test, batchSize: 7, done.Add); // 7, 7, 6
        Assert.Equal([7, 14, 20], done);
        Assert.Equal((whole.Accuracy, whole.Top5, whole.Count), (parts.Accuracy, parts.Top5, parts.Count));
        Assert.Equal(whole.Loss, parts.Loss, 1e-6);
        model.Eval();
        Evaluator.Evaluate(model, test);
        Assert.False(model.Training);

        // By hand: the mean of −log softmax, and the hits, picture by picture.
        double loss = 0;
        int hits = 0;
        foreach (var batch in BatchLoader.Evaluation(test, 1).Epoch())
        {
            float[] s = model.Predict(batch.Images, 1);
            loss += Math.Log(s.Sum(v => Math.Exp(v))) - s[(int)batch.Labels[0]];
            hits += Array.IndexOf(s, s.Max()) == (int)batch.Labels[0] ? 1 : 0;
        }
        Assert.Equal(loss / test.Count, whole.Loss, 1e-5);
        Assert.Equal(hits / (double)test.Count, whole.Accuracy);
    }

    [Fact]
    public void PicturesThatDoNotSuitTheModelAreRefused()
    {
        using var model = TrainingBench.Model(Cpu, "mobilenet_v1");
        var grey = new ImageDataset("grey", 32, 32, 1, new byte[1024], [0], ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]);
        Assert.Contains("1 channels, the model takes 3", Assert.Throws<ArgumentException>(() => Evaluator.Evaluate(model, grey)).Message);
        var two = new ImageDataset("two", 32, 32, 3, new byte[3072], [0], ["a", "b"]);
        Assert.Contains("2 classes, the model 10", Assert.Throws<ArgumentException>(() => Evaluator.Evaluate(model, two)).Message);
        using var stop = new CancellationTokenSource();
        stop.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => Evaluator.Evaluate(model, TrainingBench.Pictures.Test, cancellation: stop.Token));
    }
}
