using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using RefConv.Kernels;
using RefConv.Models.Data;
using RefConv.Models.Train;

namespace RefConv.Models.Analysis;

/// <summary>Loss and accuracy at one point.</summary>
internal readonly record struct LandscapePoint(double Loss, double Accuracy);

/// <summary>
/// A model whose weights are put at points of a plane, w + x·dx + y·dy, and the pictures that it is tried on there. Disposing puts the weights back, to the bit.
/// </summary>
internal sealed class MovingModel : IDisposable
{
    /// <summary>Pictures at a time, at most: enough that a 1×1 convolution of a map that has shrunk to a pixel is still a matrix product.</summary>
    private const int MostPictures = 250;

    private readonly Model _model;
    private readonly bool _wasTraining;
    private readonly List<(Parameter Parameter, Tensor Origin, Tensor? X, Tensor? Y)> _moved = [];
    private readonly List<(Tensor Images, float[] Labels)> _batches = [];
    private readonly int _batch, _count;

    public MovingModel(Model model, IImageDataset data, LandscapeDirection x, LandscapeDirection? y)
    {
        (_model, _wasTraining, _count) = (model, model.Training, data.Count);
        int batches = (data.Count + MostPictures - 1) / MostPictures;
        _batch = (data.Count + batches - 1) / batches;
        model.Eval();
        try
        {
            foreach (var (name, parameter) in model.NamedParameters())
            {
                var (dx, dy) = (Step(x, name, parameter), y == null ? null : Step(y, name, parameter));
                if (dx == null && dy == null) continue;
                _moved.Add((parameter, Copy(parameter), dx, dy));
            }
            foreach (var batch in BatchLoader.Evaluation(data, _batch).Epoch()) _batches.Add((Images(batch), [.. batch.Labels]));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Loss and accuracy at a point.</summary>
    public LandscapePoint At(double x, double y)
    {
        Move(x, y);
        // A plan is made anew for each point, because it is a snapshot of the weights: folding and packing them costs little beside the pictures.
        using var plan = _model.Compile(_batch, Conv2dAccuracy.Exact);
        double loss = 0;
        int correct = 0;
        foreach (var (images, labels) in _batches)
        {
            float[] scores = plan.Run(images).ToArray();
            int classes = scores.Length / _batch;
            for (int i = 0; i < labels.Length; i++) loss += CrossEntropy(scores.AsSpan(i * classes, classes), (int)labels[i]);
            correct += Evaluator.CountCorrect(scores.AsSpan(0, labels.Length * classes), labels, 1);
        }
        return new LandscapePoint(loss / _count, correct / (double)_count);
    }

    /// <summary>Tells apart what gives another landscape: weights, directions, pictures, labels.</summary>
    public string Fingerprint()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var (_, parameter) in _model.NamedParameters()) Add(parameter);
        foreach (var (_, _, dx, dy) in _moved)
        {
            if (dx != null) Add(dx);
            if (dy != null) Add(dy);
        }
        foreach (var (images, labels) in _batches)
        {
            Add(images);
            hash.AppendData(MemoryMarshal.AsBytes<float>(labels));
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());

        void Add(Tensor tensor)
        {
            Span<byte> length = stackalloc byte[sizeof(long)];
            BinaryPrimitives.WriteInt64LittleEndian(length, tensor.Shape.Count);
            hash.AppendData(length);
            hash.AppendData(MemoryMarshal.AsBytes<float>(tensor.ToArray()));
        }
    }

    public void Dispose()
    {
        Move(0, 0);
        foreach (var (_, origin, x, y) in _moved)
        {
            origin.Dispose();
            x?.Dispose();
            y?.Dispose();
        }
        foreach (var (images, _) in _batches) images.Dispose();
        _moved.Clear();
        _batches.Clear();
        if (_wasTraining) _model.Train();
    }

    private void Move(double x, double y)
    {
        var kernels = _model.Device.Kernels;
        foreach (var (parameter, origin, dx, dy) in _moved)
        {
            kernels.Scale(origin.Data, parameter.Data, 1, accumulate: false);
            if (dx != null && x != 0) kernels.Scale(dx.Data, parameter.Data, x, accumulate: true);
            if (dy != null && y != 0) kernels.Scale(dy.Data, parameter.Data, y, accumulate: true);
            parameter.MarkChanged();
        }
    }

    /// <summary>The pictures of a batch; those that lack to a whole one are black and do not count.</summary>
    private Tensor Images(Batch batch)
    {
        float[] values = new float[_batch * batch.Height * batch.Width * batch.Channels];
        batch.Images.CopyTo(values, 0);
        return Tensor.From(_model.Device, values, new Shape(_batch, batch.Height, batch.Width, batch.Channels));
    }

    private static Tensor? Step(LandscapeDirection direction, string name, Parameter parameter) =>
        direction.Steps.TryGetValue(name, out float[]? step) ? Tensor.From(parameter.Device, step, parameter.Shape) : null;

    private static Tensor Copy(Tensor tensor)
    {
        var copy = Tensor.Empty(tensor.Device, tensor.Shape);
        tensor.Device.Kernels.Scale(tensor.Data, copy.Data, 1, accumulate: false);
        return copy;
    }

    /// <summary>ln Σ eˢ − s[label], in double.</summary>
    private static double CrossEntropy(ReadOnlySpan<float> scores, int label)
    {
        double largest = double.NegativeInfinity, sum = 0;
        foreach (float s in scores) largest = Math.Max(largest, s); // NaN stays NaN
        foreach (float s in scores) sum += Math.Exp(s - largest);
        return largest + Math.Log(sum) - scores[label];
    }
}
