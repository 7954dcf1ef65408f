namespace RefConv.Layers;

/// <summary>
/// Stands where a batch norm was whose work the training form before it does: passes its input on, and knows how to come back.
/// Merging puts a norm here that leaves everything as it is but for a shift: γ = 1, mean 0, variance 1 − ε, β = what the merged kernel cannot say.
/// So the merged model has the layers and the keys of the plain one.
/// </summary>
internal sealed class AbsorbedNorm : Module
{
    internal AbsorbedNorm(ConvSite site, BatchNorm2d norm) =>
        (ConvName, EndsBranch, Channels, Eps, Momentum) = (site.Name, site.EndsBranch, norm.Channels, norm.Eps, norm.Momentum);

    /// <summary>Path of the training form.</summary>
    public string ConvName { get; }

    /// <summary>It ends a residual branch.</summary>
    public bool EndsBranch { get; }

    /// <summary>Channels.</summary>
    public int Channels { get; }

    /// <summary>ε of the norm that was here.</summary>
    public double Eps { get; }

    /// <summary>Its momentum.</summary>
    public double Momentum { get; }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => x;

    /// <summary>The norm that adds β and does nothing else.</summary>
    /// <param name="beta">β in doubles, or null for 0.</param>
    /// <param name="device">Where to make it.</param>
    internal BatchNorm2d Restore(double[]? beta, Kernels.Device device)
    {
        var norm = new BatchNorm2d(Initializer.ForLoading(device), Channels, Eps, Momentum);
        device.Kernels.Fill(norm.RunningVar.Data, 1 - Eps);
        if (beta != null) norm.Bias.FromTorch(beta);
        return norm;
    }
}
