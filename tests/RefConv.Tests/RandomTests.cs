using RefConv.Kernels;

namespace RefConv.Tests;

public sealed class RandomTests
{
    /// <summary>philox4x32-10 of Random123's kat_vectors.</summary>
    [Fact]
    public void PhiloxGivesThePublishedAnswers()
    {
        Assert.Equal((0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u), Philox.Block(0, 0, 0, 0, 0, 0));
        Assert.Equal((0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu),
            Philox.Block(uint.MaxValue, uint.MaxValue, uint.MaxValue, uint.MaxValue, uint.MaxValue, uint.MaxValue));
        Assert.Equal((0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u),
            Philox.Block(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0));
    }

    [Fact]
    public void BitsAreTheWordsOfBlocksInOrder()
    {
        const ulong Seed = 0x299f31d0_a4093822, Stream = 0x03707344_13198a2e, Block = 0x05a308d3_243f6a88;
        var (a, b, c, d) = Philox.Block(0x243f6a88, 0x05a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0);
        Assert.Equal([a, b, c, d], new ulong[] { 0, 1, 2, 3 }.Select(i => (uint)Philox.Bits(Seed, Stream, (Block << 2) + i)));
    }

    [Fact]
    public void AStreamCanBeReadFromAnyPosition()
    {
        var front = new RandomStream(7, 9);
        uint[] all = [.. Enumerable.Range(0, 50).Select(_ => front.NextBits())];
        var jumped = new RandomStream(7, 9) { Position = 33 };
        Assert.Equal(all[33..], Enumerable.Range(0, 17).Select(_ => jumped.NextBits()));
        Assert.NotEqual(all[0], new RandomStream(7, 10).NextBits());
        Assert.NotEqual(all[0], new RandomStream(8, 9).NextBits());
    }

    [Fact]
    public void UniformsFillTheirInterval()
    {
        var random = new RandomStream(1, 2);
        double sum = 0, least = 1, most = 0;
        for (int i = 0; i < 100_000; i++)
        {
            float u = random.NextSingle();
            Assert.InRange(u, 0f, 0.99999994f);
            Assert.Equal(u, Philox.Uniform(1, 2, (ulong)i));
            (sum, least, most) = (sum + u, Math.Min(least, u), Math.Max(most, u));
        }
        Assert.InRange(sum / 100_000, 0.5 - 0.004, 0.5 + 0.004); // 4 standard errors
        Assert.True(least < 1e-3 && most > 1 - 1e-3);
        for (int i = 0; i < 1000; i++) Assert.InRange(random.NextUniform(-2, 5), -2, 5);
        int[] counts = new int[7];
        for (int i = 0; i < 70_000; i++) counts[random.NextInt(7)]++;
        Assert.All(counts, c => Assert.InRange(c, 10_000 - 400, 10_000 + 400));
    }

    [Theory]
    [InlineData(0.5, 0)]
    [InlineData(0.3, -0.5244005127080409)]
    [InlineData(0.9, 1.2815515655446004)]
    [InlineData(0.975, 1.959963984540054)]
    [InlineData(0.99, 2.3263478740408408)]
    [InlineData(1e-5, -4.264890793922825)]
    [InlineData(1e-9, -5.997807015007687)]
    [InlineData(1e-15, -7.941345326170997)]
    [InlineData(1e-100, -21.273453560965457)]
    public void NormalQuantileIsRight(double p, double z)
    {
        Assert.Equal(z, NormalQuantile.Evaluate(p), 1e-14 * Math.Max(1, Math.Abs(z)));
        if (p > 1e-6) Assert.Equal(-z, NormalQuantile.Evaluate(1 - p), 1e-9 * Math.Max(1, Math.Abs(z)));
    }

    [Fact]
    public void LogIsRight()
    {
        var random = new RandomStream(3, 4);
        double[] special = [1, 2, 0.5, Math.Sqrt(2), Math.Sqrt(0.5), 1 + 1e-10, 1 - 1e-10, 1e-300, 1e300, Math.BitIncrement(1), Math.BitDecrement(1), double.Epsilon * 4503599627370496];
        foreach (double x in special.Concat(Enumerable.Range(0, 20_000).Select(_ => Math.Pow(2, random.NextUniform(-1000, 1000)) * random.NextUniform(1, 2))))
            Assert.Equal(Math.Log(x), NormalQuantile.Log(x), 1e-15 * Math.Abs(Math.Log(x)));
    }

    [Fact]
    public void NormalsHaveTheMomentsOfTheNormalDistribution()
    {
        const int N = 100_000;
        var random = new RandomStream(2024, 5);
        double m1 = 0, m2 = 0, m3 = 0, m4 = 0;
        for (int i = 0; i < N; i++)
        {
            double z = random.NextNormal();
            (m1, m2, m3, m4) = (m1 + (z / N), m2 + (z * z / N), m3 + (z * z * z / N), m4 + (z * z * z * z / N));
        }
        // 4 standard errors of each moment.
        Assert.Equal(0, m1, 4 * Math.Sqrt(1.0 / N));
        Assert.Equal(1, m2, 4 * Math.Sqrt(2.0 / N));
        Assert.Equal(0, m3, 4 * Math.Sqrt(15.0 / N));
        Assert.Equal(3, m4, 4 * Math.Sqrt(96.0 / N));
    }

    [Fact]
    public void APermutationHasEveryNumberOnceAndIsTheSameAgain()
    {
        foreach (int n in new[] { 0, 1, 2, 3, 100, 4096 })
        {
            int[] order = new RandomStream(11, 12).NextPermutation(n);
            Assert.Equal(Enumerable.Range(0, n), order.Order());
            Assert.Equal(order, new RandomStream(11, 12).NextPermutation(n));
            if (n >= 100) Assert.NotEqual(Enumerable.Range(0, n), order);
        }
        // All six orders of three, about equally often.
        var random = new RandomStream(13, 14);
        var counts = Enumerable.Range(0, 6000).Select(_ => string.Join(",", random.NextPermutation(3))).CountBy(s => s).ToArray();
        Assert.Equal(6, counts.Length);
        Assert.All(counts, c => Assert.InRange(c.Value, 1000 - 120, 1000 + 120));
    }
}
