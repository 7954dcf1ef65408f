namespace RefConv.Kernels;

/// <summary>
/// The engine's one random generator: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
/// It has no state: number i of a stream is a function of (seed, stream, i), so any thread or device can draw any part of a
/// stream and gets the same bits.
/// </summary>
/// <remarks>
/// The 128-bit counter is (i / 4 low, i / 4 high, stream low, stream high) and the key is the seed; number i is word i mod 4.
/// </remarks>
public static class Philox
{
    private const uint M0 = 0xD2511F53, M1 = 0xCD9E8D57, W0 = 0x9E3779B9, W1 = 0xBB67AE85;

    /// <summary>Ten rounds of Philox4x32 on one 128-bit counter.</summary>
    public static (uint X0, uint X1, uint X2, uint X3) Block(uint c0, uint c1, uint c2, uint c3, uint k0, uint k1)
    {
        for (int round = 0; round < 10; round++)
        {
            ulong p0 = (ulong)M0 * c0, p1 = (ulong)M1 * c2;
            (c0, c1, c2, c3) = ((uint)(p1 >> 32) ^ c1 ^ k0, (uint)p1, (uint)(p0 >> 32) ^ c3 ^ k1, (uint)p0);
            k0 += W0;
            k1 += W1;
        }
        return (c0, c1, c2, c3);
    }

    /// <summary>Number <paramref name="index"/> of a stream, 32 random bits.</summary>
    public static uint Bits(ulong seed, ulong stream, ulong index)
    {
        ulong block = index >> 2;
        var (x0, x1, x2, x3) = Block((uint)block, (uint)(block >> 32), (uint)stream, (uint)(stream >> 32), (uint)seed, (uint)(seed >> 32));
        return (index & 3) switch { 0 => x0, 1 => x1, 2 => x2, _ => x3 };
    }

    /// <summary>Number <paramref name="index"/> of a stream, uniform in [0, 1): a multiple of 2⁻²⁴, exact in a float.</summary>
    public static float Uniform(ulong seed, ulong stream, ulong index) => (Bits(seed, stream, index) >> 8) * (1f / (1 << 24));
}

/// <summary>Reads a <see cref="Philox"/> stream from front to back; for the host, where order is natural.</summary>
/// <param name="seed">Seed.</param>
/// <param name="stream">Stream.</param>
public sealed class RandomStream(ulong seed, ulong stream)
{
    /// <summary>How many 32-bit numbers were drawn; set it to jump.</summary>
    public ulong Position { get; set; }

    /// <summary>The next 32 bits.</summary>
    public uint NextBits() => Philox.Bits(seed, stream, Position++);

    /// <summary>Uniform in [0, 1), 24 bits.</summary>
    public float NextSingle() => (NextBits() >> 8) * (1f / (1 << 24));

    /// <summary>Uniform in [low, high).</summary>
    public double NextUniform(double low, double high) => low + ((high - low) * ((NextBits() + 0.5) * (1.0 / 4294967296.0)));

    /// <summary>A whole number in [0, <paramref name="count"/>), without bias to within 2⁻³².</summary>
    public int NextInt(int count) => (int)(((ulong)NextBits() * (uint)count) >> 32);

    /// <summary>
    /// Standard normal, by the inverse distribution function (Wichura's AS 241), computed from + − × ÷ √ and a logarithm of our own,
    /// so that the bits do not depend on the platform's mathematics library.
    /// </summary>
    public double NextNormal() => NormalQuantile.Evaluate((NextBits() + 0.5) * (1.0 / 4294967296.0));

    /// <summary>A random order of 0 … <paramref name="count"/> − 1 (Fisher-Yates).</summary>
    public int[] NextPermutation(int count)
    {
        int[] order = new int[count];
        for (int i = 0; i < count; i++) order[i] = i;
        for (int i = count - 1; i > 0; i--)
        {
            int j = NextInt(i + 1);
            (order[i], order[j]) = (order[j], order[i]);
        }
        return order;
    }
}
