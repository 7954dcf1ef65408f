namespace RefConv.Kernels;

/// <summary>Constants of clipping.</summary>
/// <param name="MaxNorm">The largest norm that stays as it is; infinite to clip nothing.</param>
/// <param name="Epsilon">Added to the norm before it divides.</param>
/// <param name="Scale">Multiplies every gradient, and the norm, before: 1 over the scale of the loss.</param>
public readonly record struct ClipNormGeometry(double MaxNorm, double Epsilon = 1e-6, double Scale = 1)
{
    /// <summary>Gradients are only looked at.</summary>
    internal bool ChangesNothing => Scale == 1 && double.IsPositiveInfinity(MaxNorm);

    /// <summary>What the gradients are multiplied by. A norm that is no number clips nothing: whoever reads it says so.</summary>
    internal double Factor(double norm)
    {
        double clip = MaxNorm / (norm + Epsilon);
        return clip < 1 ? Scale * clip : Scale;
    }

    /// <inheritdoc/>
    public override string ToString() => $"max {MaxNorm}{(Scale == 1 ? "" : $" scale {Scale}")}";
}

public partial interface IKernels
{
    /// <summary>
    /// <c>norm[0] = s·√(Σ g²)</c> over all gradients together; <c>g *= s·min(1, max/(norm + ε))</c>. Nothing is read on the way: the norm stays on the device, and so does what follows from it.
    /// </summary>
    /// <param name="g">max, ε and s.</param>
    /// <param name="norm">[1]</param>
    /// <param name="gradients">Scaled in place; no two overlap.</param>
    void ClipNorm(in ClipNormGeometry g, BufferView norm, params BufferView[] gradients);
}
