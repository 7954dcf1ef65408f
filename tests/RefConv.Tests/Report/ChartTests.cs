using RefConv.Models.Imaging.Png;
using RefConv.Models.Report;
using RefConv.Models.Report.Charts;

namespace RefConv.Tests.Report;

/// <summary>The drawing itself: lines of equal value, axes, colours, pictures.</summary>
public sealed class ChartTests
{
    [Fact]
    public void IsolinesOfABowlAreCircles()
    {
        const int N = 41;
        double[] bowl = [.. Enumerable.Range(0, N * N).Select(i => Math.Sqrt(Math.Pow((i / N) - 20, 2) + Math.Pow((i % N) - 20, 2)))];
        var line = Assert.Single(MarchingSquares.Lines(bowl, N, N, 12.3));
        Assert.True(line.Closed);
        Assert.Equal(line.Points[0], line.Points[^1]);
        Assert.True(line.Points.Count > 80);
        Assert.All(line.Points, p => Assert.Equal(12.3, Math.Sqrt(Math.Pow(p.X - 20, 2) + Math.Pow(p.Y - 20, 2)), 0.02));
        // Steps from point to point stay inside a cell, and together they go round once.
        double turn = 0;
        for (int k = 1; k < line.Points.Count; k++)
        {
            var (a, b) = (line.Points[k - 1], line.Points[k]);
            Assert.True(Math.Abs(a.X - b.X) <= 1 && Math.Abs(a.Y - b.Y) <= 1);
            double step = Math.Atan2(b.Y - 20, b.X - 20) - Math.Atan2(a.Y - 20, a.X - 20);
            turn += step > Math.PI ? step - (2 * Math.PI) : step < -Math.PI ? step + (2 * Math.PI) : step;
        }
        Assert.Equal(2 * Math.PI, Math.Abs(turn), 6);
        Assert.Empty(MarchingSquares.Lines(bowl, N, N, 99));
    }

    [Fact]
    public void IsolinesOfASaddleFollowItsMiddle()
    {
        // Corners high, low, high, low. The middle, their mean, is 0.5: above 0.4 the high corners hang together, so each low one is cut off by itself.
        double[] saddle = [1, 0, 0, 1];
        var low = MarchingSquares.Lines(saddle, 2, 2, 0.4);
        Assert.Equal(2, low.Count);
        Assert.All(low, l => Assert.True(l.Points.All(p => p.X + (1 - p.Y) <= 0.4 + 1e-12) || l.Points.All(p => (1 - p.X) + p.Y <= 0.4 + 1e-12), "around a low corner"));
        var high = MarchingSquares.Lines(saddle, 2, 2, 0.6);
        Assert.All(high, l => Assert.True(l.Points.All(p => p.X + p.Y <= 0.4 + 1e-12) || l.Points.All(p => (1 - p.X) + (1 - p.Y) <= 0.4 + 1e-12), "around a high corner"));
        Assert.Equal(2, high.Count);
    }

    [Fact]
    public void EveryCaseOfACellSeparatesItsCorners()
    {
        // Lines end on sides whose corners differ, each such side once: for all sixteen cells.
        for (int kind = 0; kind < 16; kind++)
        {
            double[] corner = [kind & 1, (kind >> 1) & 1, (kind >> 3) & 1, (kind >> 2) & 1]; // a b / d c
            var ends = MarchingSquares.Lines(corner, 2, 2, 0.5).SelectMany(l => l.Points).Order().ToArray();
            List<(double, double)> expected = [];
            if (corner[0] != corner[1]) expected.Add((0.5, 0));
            if (corner[2] != corner[3]) expected.Add((0.5, 1));
            if (corner[0] != corner[2]) expected.Add((0, 0.5));
            if (corner[1] != corner[3]) expected.Add((1, 0.5));
            Assert.Equal(expected.Order(), ends);
        }
    }

    [Fact]
    public void IsolinesLeaveOutWhatIsNoNumber()
    {
        double[] plane = [.. Enumerable.Range(0, 100).Select(i => i % 10 == 4 && i / 10 == 5 ? double.NaN : (double)(i % 10))];
        var lines = MarchingSquares.Lines(plane, 10, 10, 3.5);
        Assert.Equal(2, lines.Count); // above and below the hole
        Assert.All(lines.SelectMany(l => l.Points), p => Assert.Equal(3.5, p.X, 12));
    }

    [Theory]
    [InlineData(0, 1, "0.0 0.2 0.4 0.6 0.8 1.0")]
    [InlineData(63.28, 74.65, "60 65 70 75")]
    [InlineData(-0.013, 0.021, "−0.02 −0.01 0.00 0.01 0.02 0.03")]
    [InlineData(5, 5, "5.0 5.1")]
    [InlineData(0, 3.2e7, "0 1e7 2e7 3e7 4e7")]
    public void TicksAreRound(double low, double high, string ticks)
    {
        var axis = Axis.For([low, high]);
        Assert.Equal(ticks, string.Join(' ', axis.Ticks.Select(axis.Text)));
        Assert.True(axis.Low <= low && axis.High >= high);
    }

    [Theory]
    [InlineData(-4.9, 4.9)]
    [InlineData(-1, 1)]
    [InlineData(0, 0.59)]
    [InlineData(3, 3)]
    public void AScaleHasMoreThanOneNumber(double low, double high)
    {
        var axis = Axis.Exact(low, high);
        Assert.InRange(axis.Ticks.Count, 3, 12);
        Assert.All(axis.Ticks, t => Assert.InRange(t, axis.Low - 1e-12, axis.High + 1e-12));
    }

    [Fact]
    public void ManyDecadesHaveFewNumbersAndShortOnes()
    {
        var axis = Axis.For([0.8, 2e8], mayBeLogarithmic: true);
        Assert.InRange(axis.Ticks.Count, 4, 7);
        Assert.All(axis.Ticks, t => Assert.InRange(axis.Text(t).Length, 1, 7));
        Assert.Equal("1e8", new Axis([1e8], 1, 1e8, true).Text(1e8));
        // A scale bar of a surface from 0.8 to 2·10⁸: no two numbers touch.
        var svg = new System.Text.StringBuilder();
        HeatMap.ScaleBar(svg, 0, 0, 200, 0.8, 2e8, "loss", ColorScale.Viridis, logarithmic: true);
        var numbers = System.Text.RegularExpressions.Regex.Matches(svg.ToString(), "<text x=\"([0-9.]+)\"[^>]*>([^<]+)</text>").Select(m => (At: ReportFixtures.Number(m.Groups[1].Value), Half: 3.2 * m.Groups[2].Value.Length)).ToArray();
        Assert.True(numbers.Length >= 3);
        Assert.All(numbers.Zip(numbers.Skip(1)), p => Assert.True(p.Second.At - p.Second.Half > p.First.At + p.First.Half));
    }

    [Fact]
    public void LargeRangesAreLogarithmicWhereThatIsAllowed()
    {
        var axis = Axis.For([0.3, 25], mayBeLogarithmic: true);
        Assert.True(axis.Logarithmic);
        Assert.Equal("0.2 0.5 1 2 5 10 20 50", string.Join(' ', axis.Ticks.Select(axis.Text)));
        Assert.Equal(0.5, axis.Share(Math.Sqrt(0.2 * 50)), 12);
        Assert.False(Axis.For([0.3, 25]).Logarithmic);
        Assert.False(Axis.For([0.0, 25], mayBeLogarithmic: true).Logarithmic);
    }

    [Fact]
    public void PicturesComeBackFromTheDecoder()
    {
        byte[] pixels = [.. Enumerable.Range(0, 7 * 5).Select(i => (byte)(i * 7)).SkipLast(1), ColorScale.Missing];
        var png = PngWriter.Encode(7, 5, pixels, ColorScale.Viridis.Table, ColorScale.Missing);
        var image = RefConv.Models.Imaging.ImageFile.Decoder.Decode(png);
        Assert.Equal((7, 5, 4), (image.Width, image.Height, image.Channels));
        for (int i = 0; i < pixels.Length; i++)
        {
            var (r, g, b) = ColorScale.Viridis.Table[pixels[i]];
            Assert.Equal([r, g, b, pixels[i] == ColorScale.Missing ? (byte)0 : (byte)255], image.Pixels.Skip(4 * i).Take(4));
        }
    }

    [Fact]
    public void ColoursGrowEvenlyLighter()
    {
        // Lightness (CIE L*) of viridis rises evenly; that of the diverging scale rises to the middle and falls again, alike on both sides.
        double[] viridis = [.. ColorScale.Viridis.Table.Take(ColorScale.Levels).Select(Lightness)];
        double step = (viridis[^1] - viridis[0]) / (viridis.Length - 1);
        Assert.All(viridis.Zip(viridis.Skip(1)), p => Assert.InRange(p.Second - p.First, -0.2 * step, 2.4 * step));
        double[] diverging = [.. ColorScale.Diverging.Table.Take(ColorScale.Levels).Select(Lightness)];
        Assert.InRange(Array.IndexOf(diverging, diverging.Max()), 126, 128);
        Assert.All(Enumerable.Range(0, 127), i => Assert.InRange(diverging[i] - diverging[^(i + 1)], -9, 9));
        Assert.Equal(ColorScale.Missing, ColorScale.Index(double.NaN, 0, 1));
        Assert.Equal([0, 0, 127, 254, 254], new[] { -1.0, 0, 0.5, 1, 9 }.Select(v => (int)ColorScale.Index(v, 0, 1)));

        static double Lightness((byte R, byte G, byte B) c)
        {
            static double Linear(byte v) => v / 255.0 is var s && s <= 0.04045 ? s / 12.92 : Math.Pow((s + 0.055) / 1.055, 2.4);
            double y = (0.2126 * Linear(c.R)) + (0.7152 * Linear(c.G)) + (0.0722 * Linear(c.B));
            return (116 * Math.Cbrt(y)) - 16;
        }
    }

    [Fact]
    public void NumbersAreInvariantAndTextIsEscaped()
    {
        Assert.Equal("−1.5", Num.Text(-1.5, "0.0"));
        Assert.Equal("no number", Num.Text(double.NaN, "0.0"));
        Assert.Equal("a&lt;b&gt;&amp;&quot;&#39;", Num.Escape("a<b>&\"'"));
        Assert.Equal("""{"name":"n","head":["\u003C/script\u003E"],"rows":[["\u0022",1.5,null]]}""", new FigureData("n", ["</script>"], [[1.5, double.NaN]], ["\""]).ToJson());
    }
}
