using System.Numerics;

namespace RefConv.Kernels;

/// <summary>
/// Division by a number that is the same for a whole launch: a multiplication and a shift in the place of the twenty instructions of a division. Made on the host.
/// </summary>
/// <remarks>
/// With 2^(L−1) &lt; d ≤ 2^L and m = ⌈2^(31+L) / d⌉, ⌊n·m / 2^(31+L)⌋ = ⌊n / d⌋ for all 0 ≤ n &lt; 2³¹: m is too large by less than d ≤ 2^L over 2^(31+L), n times that
/// is below 1/d of the next whole number. m fits 32 bits, since 2^(31+L) / d lies in [2³¹, 2³²).
/// </remarks>
internal readonly struct Divisor
{
    private readonly uint _multiplier;
    private readonly int _shift;

    public Divisor(long value)
    {
        if (value is < 1 or > int.MaxValue) throw new ArgumentOutOfRangeException(nameof(value), value, "A divisor is a positive whole number of 31 bits.");
        Value = (int)value;
        int log = BitOperations.Log2((uint)value) + (BitOperations.IsPow2(value) ? 0 : 1);
        _shift = 31 + log;
        _multiplier = (uint)(((1UL << _shift) + (ulong)value - 1) / (ulong)value);
    }

    public int Value { get; }

    /// <summary>⌊n / value⌋ for n ≥ 0.</summary>
    public int Divide(int n) => (int)(((ulong)(uint)n * _multiplier) >> _shift);

    /// <summary>n mod value, given the quotient.</summary>
    public int Rest(int n, int quotient) => n - (quotient * Value);
}
