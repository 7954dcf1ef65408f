namespace RefConv.Kernels;

public partial interface IKernels
{
    /// <summary>Mean absolute error: <c>loss[0] = 1/n · Σ_i |x[i] − target[i]|</c>.</summary>
    /// <param name="x">[n]</param>
    /// <param name="target">[n]</param>
    /// <param name="loss">[1]</param>
    void L1LossForward(BufferView x, BufferView target, BufferView loss);

    /// <summary><c>dx[i] (+)= dloss[0]/n · sign(x[i] − target[i])</c>, with sign(0) = 0 as in PyTorch.</summary>
    /// <param name="x">[n]</param>
    /// <param name="target">[n]</param>
    /// <param name="dloss">[1]</param>
    /// <param name="dx">[n]</param>
    /// <param name="accumulate">Add to dx instead of overwriting it.</param>
    void L1LossBackward(BufferView x, BufferView target, BufferView dloss, BufferView dx, bool accumulate);
}
