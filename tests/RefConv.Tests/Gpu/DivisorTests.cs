using RefConv.Kernels;

namespace RefConv.Tests.Gpu;

/// <summary>Division by multiplying, where it could go wrong: at multiples, one below them, and the largest numbers.</summary>
public sealed class DivisorTests
{
    [GpuFact("")]
    public void DividesAsDivisionDoes() => Divisors.Check();

    /// <summary>Apart, so that a build without the GPU kernels has no type to miss before the test is skipped.</summary>
    private static class Divisors
    {
        public static void Check()
        {
            int[] divisors = [1, 2, 3, 4, 5, 6, 7, 9, 12, 58, 112, 641, 1000, 4095, 4096, 4097, 65535, 65537, 12_345_678, (1 << 30) - 1, 1 << 30, (1 << 30) + 1, int.MaxValue - 1, int.MaxValue];
            foreach (int d in divisors)
            {
                var divisor = new Divisor(d);
                long[] multiples = [0, 1, 2, 3, 100, int.MaxValue / d, (int.MaxValue / d) - 1, int.MaxValue / 2 / d];
                foreach (long n in multiples.SelectMany(m => new[] { (m * d) - 1, m * d, (m * d) + 1 }).Append(int.MaxValue).Where(n => n is >= 0 and <= int.MaxValue))
                {
                    int quotient = divisor.Divide((int)n);
                    Assert.Equal((int)n / d, quotient);
                    Assert.Equal((int)n % d, divisor.Rest((int)n, quotient));
                }
            }
        }
    }
}
