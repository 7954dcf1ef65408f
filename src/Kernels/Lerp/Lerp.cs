namespace RefConv.Kernels;

public partial interface IKernels
{
    /// <summary><c>y[i] += weight · (x[i] − y[i])</c>: y moves towards x (<c>torch.lerp</c>). Where both are equal y keeps its bits.</summary>
    /// <param name="x">Input.</param>
    /// <param name="y">As long as x, updated.</param>
    /// <param name="weight">Share of the way: 0 leaves y, 1 makes it x.</param>
    void Lerp(BufferView x, BufferView y, double weight);
}
