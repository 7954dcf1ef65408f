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
    /// <returns>The norm before.</returns>
    /// <remarks>
    /// The norm needs the elements, so gradients that were deferred are written down, and the step after it reads them: with <see cref="Sgd"/> a refocusing convolution
    /// then takes the memory and the passes that its fused step saves.
    /// </remarks>
    public static double ClipNorm(IEnumerable<Parameter> parameters, double maxNorm)
    {
        if (!(maxNorm > 0)) throw new ArgumentException($"The largest gradient norm must be above 0; it is {maxNorm}.");
        BufferView[] gradients = [.. parameters.Where(p => p.HasGradient).Select(p => p.GradientData)];
        if (gradients.Length == 0) return 0;
        var device = gradients[0].Buffer.Device;
        double[] squares = new double[gradients.Length];
        using (var sums = device.Rent(gradients.Length))
        {
            for (int i = 0; i < gradients.Length; i++) device.Kernels.SumOfSquares(gradients[i], sums.View.Slice(i, 1));
            device.Read(sums.View, squares);
        }
        double norm = Math.Sqrt(squares.Sum()), factor = maxNorm / (norm + Epsilon);
        if (!(factor < 1)) return norm; // a norm that is no number changes nothing: the trainer says so
        foreach (var gradient in gradients) device.Kernels.Scale(gradient, gradient, factor, accumulate: false);
        return norm;
    }
}
