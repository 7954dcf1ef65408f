using RefConv.Kernels;

namespace RefConv.Models.Train;

/// <summary>What one step gave.</summary>
/// <param name="Loss">The loss before the step.</param>
/// <param name="Correct">Pictures classified right before it; of mixed pictures the label with the larger share counts.</param>
internal readonly record struct StepResult(double Loss, int Correct);

/// <summary>
/// What steps gave, in order. Where reading a number means waiting for the device (<see cref="Device.IsAsynchronous"/>) they stay there until they are wanted, so that the
/// host is always some steps ahead; elsewhere they are read at once.
/// </summary>
internal sealed class StepLog : IDisposable
{
    private const int Ahead = 16;
    private readonly Device _device;
    private readonly DeviceBuffer _kept; // [capacity, 2]: loss, hits
    private readonly int _capacity;
    private int _count;

    public StepLog(Device device)
    {
        _device = device;
        _capacity = device.IsAsynchronous ? Ahead : 1;
        _kept = device.Rent(2 * _capacity);
    }

    /// <summary>Steps that were added and not yet read.</summary>
    public int Count => _count;

    /// <summary>It must be read before another step is added.</summary>
    public bool IsFull => _count == _capacity;

    /// <summary>Keeps a step's loss and its hits.</summary>
    /// <returns>False when it is known already that the loss is no finite number: then nothing should be changed by it.</returns>
    public bool Add(Tensor loss, Tensor logits, Tensor labels)
    {
        var g = new SoftmaxCrossEntropyGeometry(logits.Shape[0], (int)(logits.Data.Length / logits.Shape[0]));
        _device.Kernels.CountHits(g, logits.Data, labels.Data, _kept.View.Slice((2 * _count) + 1, 1));
        return Keep(loss);
    }

    /// <summary>Keeps a step's loss, where nothing is hit.</summary>
    /// <returns>As the other.</returns>
    public bool Add(Tensor loss)
    {
        _device.Kernels.Fill(_kept.View.Slice((2 * _count) + 1, 1), 0);
        return Keep(loss);
    }

    private bool Keep(Tensor loss)
    {
        _device.Kernels.Scale(loss.Data, _kept.View.Slice(2 * _count++, 1), 1, accumulate: false);
        return _device.IsAsynchronous || double.IsFinite(loss.Item());
    }

    /// <summary>The steps added since the last time.</summary>
    public StepResult[] Read()
    {
        if (_count == 0) return [];
        double[] values = new double[2 * _count];
        _device.Read(_kept.View.Slice(0, values.Length), values);
        _count = 0;
        return [.. values.Chunk(2).Select(v => new StepResult(v[0], (int)v[1]))];
    }

    public void Dispose() => _kept.Dispose();
}
