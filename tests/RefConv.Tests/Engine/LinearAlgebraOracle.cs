using MathNet.Numerics.LinearAlgebra;
using RefConv.Kernels;

namespace RefConv.Tests.Engine;

/// <summary>Matrix products against MathNet.Numerics: an oracle that shares no line with ours, so that the reference itself is checked too.</summary>
public sealed class LinearAlgebraOracle : DeviceTest
{
    [Theory]
    [InlineData("cpu", false, false)]
    [InlineData("cpu", true, false)]
    [InlineData("cpu", false, true)]
    [InlineData("cpu", true, true)]
    [InlineData("reference", true, true)]
    public void MatrixProduct(string device, bool transposeA, bool transposeB)
    {
        var (m, n, k) = (37, 45, 53);
        var a = Matrix<double>.Build.Dense(m, k, Normal(m * k, 1));
        var b = Matrix<double>.Build.Dense(k, n, Normal(k * n, 2));
        double[,] expected = (a * b).ToArray();
        using var x = Tensor.From(Get(device), (transposeA ? a.Transpose() : a).ToRowMajorArray(), transposeA ? new Shape(k, m) : new Shape(m, k));
        using var y = Tensor.From(Get(device), (transposeB ? b.Transpose() : b).ToRowMajorArray(), transposeB ? new Shape(n, k) : new Shape(k, n));
        using var result = Tensor.Full(Get(device), new Shape(m, n), double.NaN);
        Get(device).Kernels.Gemm(new GemmGeometry(m, n, k, transposeA, transposeB), x.Data, y.Data, result.Data, accumulate: false);
        double[] c = result.ToDoubleArray();
        for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++)
            Assert.Equal(expected[i, j], c[(i * n) + j], device == "cpu" ? 2e-5 : 1e-12);
    }

    [Fact]
    public void APointwiseConvolutionIsAMatrixProduct()
    {
        var (pixels, cin, cout) = (2 * 3 * 5, 7, 9);
        var x = Matrix<double>.Build.Dense(pixels, cin, Normal(pixels * cin, 1));
        var w = Matrix<double>.Build.Dense(cin, cout, Normal(cin * cout, 2));
        double[] expected = (x * w).ToRowMajorArray();
        using var xt = Tensor.From(Cpu, x.ToRowMajorArray(), new Shape(2, 3, 5, cin));
        using var wt = Tensor.From(Cpu, w.ToRowMajorArray(), new Shape(1, 1, cin, cout));
        using var tape = Tape.Inference();
        double[] y = xt.Conv2d(wt).ToDoubleArray();
        for (int i = 0; i < y.Length; i++) Assert.Equal(expected[i], y[i], 1e-5);
    }
}
