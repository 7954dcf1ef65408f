namespace RefConv.Kernels;

public partial interface IKernels
{
    /// <summary><c>y[0] = Σ x[i]²</c>: the square of the Euclidean norm.</summary>
    /// <param name="x">Input.</param>
    /// <param name="y">[1]</param>
    void SumOfSquares(BufferView x, BufferView y);
}
