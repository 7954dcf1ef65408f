namespace RefConv.Models.Data;

/// <summary>Mean and standard deviation of each channel, of values from 0 (black) to 1 (full). A picture is normalised as (value − mean) / std.</summary>
/// <param name="Mean">One a channel.</param>
/// <param name="Std">One a channel, above zero.</param>
public sealed record ChannelStatistics(IReadOnlyList<float> Mean, IReadOnlyList<float> Std)
{
    /// <summary>ImageNet's training set, as published and used for nearly every pretrained model.</summary>
    public static ChannelStatistics ImageNet { get; } = new([0.485f, 0.456f, 0.406f], [0.229f, 0.224f, 0.225f]);

    /// <summary>CIFAR-10's training set, as published and used everywhere.</summary>
    public static ChannelStatistics Cifar10 { get; } = new([0.4914f, 0.4822f, 0.4465f], [0.2470f, 0.2435f, 0.2616f]);

    /// <summary>MNIST's training set, as published and used everywhere.</summary>
    public static ChannelStatistics Mnist { get; } = new([0.1307f], [0.3081f]);

    /// <summary>Fashion-MNIST's training set, as published and used everywhere.</summary>
    public static ChannelStatistics FashionMnist { get; } = new([0.2860f], [0.3530f]);

    /// <summary>Computes them. The sums are whole numbers, so the result does not depend on any order.</summary>
    /// <param name="images">Bytes, channels last.</param>
    /// <param name="channels">Channels.</param>
    public static ChannelStatistics Of(ReadOnlySpan<byte> images, int channels)
    {
        long[] sum = new long[channels], squares = new long[channels];
        for (int i = 0; i < images.Length; i += channels)
        {
            for (int c = 0; c < channels; c++)
            {
                int value = images[i + c];
                sum[c] += value;
                squares[c] += value * value;
            }
        }
        double count = Math.Max(images.Length / channels, 1);
        float[] mean = new float[channels], std = new float[channels];
        for (int c = 0; c < channels; c++)
        {
            double m = sum[c] / count;
            double variance = (squares[c] / count) - (m * m);
            mean[c] = (float)(m / 255);
            // A channel of one value cannot be scaled to variance 1: it is only moved.
            std[c] = variance > 1e-9 ? (float)(Math.Sqrt(variance) / 255) : 1;
        }
        return new ChannelStatistics(mean, std);
    }

    /// <summary>The normalised value of every byte in every channel, [channels, 256].</summary>
    internal float[] Table()
    {
        float[] table = new float[Mean.Count * 256];
        for (int c = 0; c < Mean.Count; c++)
        {
            for (int value = 0; value < 256; value++) table[(c * 256) + value] = (float)(((value / 255.0) - Mean[c]) / Std[c]);
        }
        return table;
    }
}
