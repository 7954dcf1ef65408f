namespace RefConv.Layers;

/// <summary>
/// A method whose training form changes while it is trained. A trainer calls it, and makes its optimiser again when the parameters have changed; what survives
/// keeps its velocity. The state of such a method is in the model, and <see cref="IReparameterization.Describe"/> writes all of it down.
/// </summary>
public interface IEvolving
{
    /// <summary>After every backward pass, while the gradients are there.</summary>
    /// <param name="model">The model in training.</param>
    void AfterBackward(Module model);

    /// <summary>At the end of an epoch.</summary>
    /// <param name="model">The model in training; changed in place.</param>
    /// <param name="epoch">The epoch that ended, from 0.</param>
    /// <param name="seed">Seed of new weights.</param>
    /// <param name="forward">Runs the model in training mode on so many batches, numbered from the first given; null where there are none.</param>
    /// <returns>The model has other parameters now.</returns>
    bool AfterEpoch(Module model, int epoch, ulong seed, Action<int>? forward);

    /// <summary>How far the form has come, in words: "3 of 14 convolutions grew".</summary>
    /// <param name="model">The model, as training has left it.</param>
    string Progress(Module model);
}
