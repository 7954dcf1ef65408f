namespace RefConv.Kernels;

public partial interface IKernels
{
    /// <summary>
    /// <c>y[i] (+)= keep(i) ? x[i] / (1 − p) : 0</c>, where keep(i) is true when number i of the stream
    /// <see cref="Philox.Uniform(ulong, ulong, ulong)"/> is at least p. Nothing is stored: the gradient is the same call on dy.
    /// </summary>
    /// <param name="seed">Seed of the generator.</param>
    /// <param name="stream">Which stream: another one for every layer and step.</param>
    /// <param name="p">Probability that an element becomes 0; 0 ≤ p &lt; 1.</param>
    /// <param name="x">Input.</param>
    /// <param name="y">Output, as long as x.</param>
    /// <param name="accumulate">Add to y instead of overwriting it.</param>
    void Dropout(ulong seed, ulong stream, double p, BufferView x, BufferView y, bool accumulate);
}
