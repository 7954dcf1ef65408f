using RefConv.Kernels;

namespace RefConv.Optim;

/// <summary>Keeps one wild batch from throwing the weights away.</summary>
public static class GradientClipping
{
    /// <summary>What <c>torch.nn.utils.clip_grad_norm_</c> adds to the norm before it divides by it.</summary>
    private const double Epsilon = 1e-6;

    /// <summary>
    /// Scales all gradients by <c>min(1, max_norm/(‖g‖ + 1e-6))</c>, where ‖g‖ is the Euclidean norm of all of them together (<c>torch.nn.utils.clip_grad_norm_</c>).
    /// </summary>
    /// <param name="parameters">Those without a gradient are passed over. All on one device.</param>
    /// <param name="maxNorm">The largest norm that stays as it is.</param>
    /// <returns>The norm before. Reading it waits for the device.</returns>
    /// <remarks>
    /// The norm needs the elements, so gradients that were deferred are written down, and the step after it reads them: with <see cref="Sgd"/> a refocusing convolution
    /// then takes the memory and the passes that its fused step saves.
    /// </remarks>
    public static double ClipNorm(IEnumerable<Parameter> parameters, double maxNorm)
    {
        if (!(maxNorm > 0)) throw new ArgumentException($"The largest gradient norm must be above 0; it is {maxNorm}.");
        var gradients = Gradients(parameters);
        return gradients.Length == 0 ? 0 : Read(Clip(gradients, maxNorm, scale: 1));
    }

    /// <summary>As <see cref="ClipNorm"/>, without waiting for the device: the norm stays there.</summary>
    internal static void Clip(IEnumerable<Parameter> parameters, double maxNorm)
    {
        var gradients = Gradients(parameters);
        if (gradients.Length > 0) Clip(gradients, maxNorm, scale: 1).Dispose();
    }

    /// <summary>Multiplies all gradients by a factor.</summary>
    /// <returns>Their norm after it. Waits for the device.</returns>
    internal static double Scale(IEnumerable<Parameter> parameters, double factor)
    {
        var gradients = Gradients(parameters);
        return gradients.Length == 0 ? 0 : Read(Clip(gradients, double.PositiveInfinity, factor));
    }

    private static double Read(DeviceBuffer norm)
    {
        using (norm)
        {
            double[] value = new double[1];
            norm.Device.Read(norm.View, value);
            return value[0];
        }
    }

    private static BufferView[] Gradients(IEnumerable<Parameter> parameters) => [.. parameters.Where(p => p.HasGradient).Select(p => p.GradientData)];

    private static DeviceBuffer Clip(BufferView[] gradients, double maxNorm, double scale)
    {
        var device = gradients[0].Buffer.Device;
        var norm = device.Rent(1);
        device.Kernels.ClipNorm(new ClipNormGeometry(maxNorm, Epsilon, scale), norm.View, gradients);
        return norm;
    }
}
