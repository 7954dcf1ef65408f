using RefConv.Kernels;

namespace RefConv.Models.Data;

/// <summary>Draws one picture of <see cref="ShapesDataset"/>: ground, fragments, the shape, more fragments, noise.</summary>
/// <remarks>
/// Edges are smooth without taking several samples a pixel: a pixel is covered by ½ − d, d being its centre's distance from the edge,
/// negative inside.
/// </remarks>
internal sealed class ShapePainter(int side)
{
    private readonly double[] _canvas = new double[side * side * 3]; // [y, x, rgb], 0 … 1
    private RandomStream _random = new(0, 0);

    // One picture in five is hard: faint, noisy, with fragments across it. Those keep a small network from ever getting all of them right,
    // while the other four are plain enough to be learnt within minutes.
    private bool _hard;

    public void Draw(int shape, ulong seed, ulong stream, Span<byte> image)
    {
        _random = new RandomStream(seed, stream);
        _hard = _random.NextInt(5) == 0;
        var centre = new Point(_random.NextUniform(0.42, 0.58) * side, _random.NextUniform(0.42, 0.58) * side);
        double radius = _random.NextUniform(0.28, 0.4) * side;
        DrawGround();
        int behind = _hard ? 2 + _random.NextInt(2) : _random.NextInt(2), before = _hard ? 2 + _random.NextInt(3) : 0;
        for (int i = 0; i < behind; i++) DrawFragment(shape);
        DrawShape(shape, centre, radius);
        for (int i = 0; i < before; i++) DrawFragment(shape);
        AddNoise(_hard ? _random.NextUniform(0.05, 0.15) : _random.NextUniform(0.01, 0.05), image);
    }

    /// <summary>Two colours that flow into each other across the picture, cloudy, and sometimes striped.</summary>
    private void DrawGround()
    {
        Colour a = RandomColour(0.1, 0.4), b = Near(a, _random.NextUniform(0, 0.15), -1);
        var along = Direction();
        double stripes = _random.NextInt(3) == 0 ? _random.NextUniform(0.02, 0.08) : 0;
        double period = _random.NextUniform(3, 9);
        var across = Direction();
        const int Knots = 6;
        Span<double> cloud = stackalloc double[Knots * Knots];
        double height = _random.NextUniform(0, 0.12);
        foreach (ref double knot in cloud) knot = height * (_random.NextSingle() - 0.5);
        for (int y = 0; y < side; y++)
        {
            for (int x = 0; x < side; x++)
            {
                var p = new Point((x + 0.5) / side, (y + 0.5) / side);
                double mix = Math.Clamp(0.5 + Point.Dot(p - new Point(0.5, 0.5), along), 0, 1);
                double phase = Point.Dot(p, across) * side / period;
                // A triangle wave from −1 to 1.
                double wave = (4 * Math.Abs(phase - Math.Floor(phase) - 0.5)) - 1;
                double shade = Interpolate(cloud, Knots, p) + (stripes * wave);
                Set(x, y, new Colour(a.R + (mix * (b.R - a.R)) + shade, a.G + (mix * (b.G - a.G)) + shade, a.B + (mix * (b.B - a.B)) + shade));
            }
        }
    }

    /// <summary>The shape itself, lighter than its ground; a hard one is faint, and one in eight a mere outline.</summary>
    private void DrawShape(int shape, Point centre, double radius)
    {
        var polygon = Place(ShapeOutlines.Polygons[shape], centre, radius, Tilt());
        double contrast = _hard ? _random.NextUniform(0.12, 0.25) : _random.NextUniform(0.35, 0.6);
        Colour ground = At(centre), colour = Near(ground, contrast, 0);
        bool outline = _random.NextInt(8) == 0;
        double half = _random.NextUniform(0.7, 1.3); // of the line's width
        double shading = _random.NextUniform(-0.12, 0.12);
        var light = Direction();
        ForPixelsAround(centre, 1.6 * radius, (x, y, p) =>
        {
            double distance = Distance(polygon, p, closed: true);
            double cover = Math.Clamp(0.5 - (outline ? Math.Abs(distance) - half : distance), 0, 1);
            if (cover > 0) Blend(x, y, colour.Lighter(shading * Point.Dot(p - centre, light) / radius), cover);
        });
    }

    /// <summary>A piece of the outline of another shape, a bar, or a spot; often in a colour like the shape's.</summary>
    private void DrawFragment(int shape)
    {
        var centre = new Point(_random.NextSingle() * side, _random.NextSingle() * side);
        double radius = _random.NextUniform(0.1, 0.32) * side;
        int kind = _random.NextInt(4);
        int other = (shape + 1 + _random.NextInt(ShapeOutlines.Names.Length - 1)) % ShapeOutlines.Names.Length;
        var whole = Place(ShapeOutlines.Polygons[other], centre, radius, Direction());
        int edges = 1 + (whole.Length * (2 + _random.NextInt(3)) / 10); // a fifth to two fifths of the outline
        int first = _random.NextInt(whole.Length);
        var piece = new Point[Math.Min(edges + 1, whole.Length)];
        for (int i = 0; i < piece.Length; i++) piece[i] = whole[(first + i) % whole.Length];
        Colour ground = At(centre), colour = Near(ground, _random.NextUniform(0.1, 0.4), -1);
        double half = _random.NextUniform(0.5, 1.4);
        double size = _random.NextUniform(1, 3);
        double strength = _random.NextUniform(0.5, 1);
        ForPixelsAround(centre, (1.6 * radius) + 2, (x, y, p) =>
        {
            double distance = kind == 3 ? Math.Sqrt(Point.Dot(p - centre, p - centre)) - size : Distance(piece, p, closed: false) - half;
            double cover = Math.Clamp(0.5 - distance, 0, 1);
            if (cover > 0) Blend(x, y, colour, cover * strength);
        });
    }

    /// <summary>Rounds to bytes, with noise added: the sum of four bytes is near enough to a normal distribution.</summary>
    private void AddNoise(double sigma, Span<byte> image)
    {
        // Four uniform bytes have variance 4·(256² − 1)/12.
        double scale = sigma / Math.Sqrt(4 * 65535 / 12.0);
        for (int i = 0; i < image.Length; i++)
        {
            uint bits = _random.NextBits();
            int sum = (int)((bits & 255) + ((bits >> 8) & 255) + ((bits >> 16) & 255) + (bits >> 24));
            double value = _canvas[i] + (scale * (sum - 510));
            image[i] = (byte)Math.Clamp((value * 255) + 0.5, 0, 255);
        }
    }

    /// <summary>Turns, squeezes, scales and moves a polygon by random amounts.</summary>
    private Point[] Place(Point[] unit, Point centre, double radius, Point turn)
    {
        double squeeze = _random.NextUniform(0.8, 1), slant = _random.NextUniform(-0.12, 0.12);
        var placed = new Point[unit.Length];
        for (int i = 0; i < unit.Length; i++)
        {
            var p = new Point(unit[i].X + (slant * unit[i].Y), squeeze * unit[i].Y);
            placed[i] = centre + (radius * new Point((turn.X * p.X) - (turn.Y * p.Y), (turn.Y * p.X) + (turn.X * p.Y)));
        }
        return placed;
    }

    /// <summary>
    /// Distance of a point from the nearest edge; of a closed polygon it is negative inside. A point is inside when a ray to the right
    /// crosses the outline an odd number of times.
    /// </summary>
    private static double Distance(ReadOnlySpan<Point> corners, Point p, bool closed)
    {
        double nearest = double.MaxValue;
        bool inside = false;
        for (int i = closed ? 0 : 1; i < corners.Length; i++)
        {
            Point a = corners[i == 0 ? corners.Length - 1 : i - 1], b = corners[i];
            Point edge = b - a, to = p - a;
            double t = Math.Clamp(Point.Dot(to, edge) / Point.Dot(edge, edge), 0, 1);
            var gap = to - (t * edge);
            nearest = Math.Min(nearest, Point.Dot(gap, gap));
            if ((a.Y > p.Y) != (b.Y > p.Y) && p.X < a.X + ((p.Y - a.Y) * edge.X / edge.Y)) inside = !inside;
        }
        return closed && inside ? -Math.Sqrt(nearest) : Math.Sqrt(nearest);
    }

    private void ForPixelsAround(Point centre, double reach, Action<int, int, Point> paint)
    {
        int left = Math.Max((int)(centre.X - reach), 0), right = Math.Min((int)(centre.X + reach), side - 1);
        int top = Math.Max((int)(centre.Y - reach), 0), bottom = Math.Min((int)(centre.Y + reach), side - 1);
        for (int y = top; y <= bottom; y++)
        {
            for (int x = left; x <= right; x++) paint(x, y, new Point(x + 0.5, y + 0.5));
        }
    }

    /// <summary>A random direction, from a random point in the disc: no sine, so the same bits everywhere.</summary>
    private Point Direction()
    {
        while (true)
        {
            var p = new Point(_random.NextUniform(-1, 1), _random.NextUniform(-1, 1));
            double square = Point.Dot(p, p);
            if (square is > 1e-4 and <= 1) return 1 / Math.Sqrt(square) * p;
        }
    }

    /// <summary>A direction up to 27 degrees to either side of upright.</summary>
    private Point Tilt()
    {
        double sideways = _random.NextUniform(-0.45, 0.45);
        return new Point(Math.Sqrt(1 - (sideways * sideways)), sideways);
    }

    private Colour RandomColour(double low, double high) =>
        new(_random.NextUniform(low, high), _random.NextUniform(low, high), _random.NextUniform(low, high));

    /// <summary>
    /// A colour at a distance of <paramref name="contrast"/> (root mean square over the channels) in a random direction: with
    /// <paramref name="darkest"/> −1 any, with 0 towards light only. A channel that would leave 0 … 1 goes the other way.
    /// </summary>
    private Colour Near(Colour from, double contrast, double darkest)
    {
        var d = RandomColour(darkest, 1);
        double scale = contrast / Math.Max(Math.Sqrt(((d.R * d.R) + (d.G * d.G) + (d.B * d.B)) / 3), 0.1);
        return new Colour(Move(from.R, scale * d.R), Move(from.G, scale * d.G), Move(from.B, scale * d.B));
    }

    private static double Move(double value, double by) => value + by is < 0 or > 1 ? value - by : value + by;

    private Colour At(Point p)
    {
        int i = ((Math.Clamp((int)p.Y, 0, side - 1) * side) + Math.Clamp((int)p.X, 0, side - 1)) * 3;
        return new Colour(_canvas[i], _canvas[i + 1], _canvas[i + 2]);
    }

    private void Set(int x, int y, Colour colour)
    {
        int i = ((y * side) + x) * 3;
        (_canvas[i], _canvas[i + 1], _canvas[i + 2]) = (colour.R, colour.G, colour.B);
    }

    private void Blend(int x, int y, Colour colour, double cover)
    {
        int i = ((y * side) + x) * 3;
        _canvas[i] += cover * (colour.R - _canvas[i]);
        _canvas[i + 1] += cover * (colour.G - _canvas[i + 1]);
        _canvas[i + 2] += cover * (colour.B - _canvas[i + 2]);
    }

    /// <summary>Between the four knots around a point of the unit square.</summary>
    private static double Interpolate(ReadOnlySpan<double> knots, int n, Point p)
    {
        double x = p.X * (n - 1), y = p.Y * (n - 1);
        int i = Math.Min((int)x, n - 2), j = Math.Min((int)y, n - 2);
        double u = x - i, v = y - j;
        var k = knots[((j * n) + i)..];
        return ((1 - v) * (((1 - u) * k[0]) + (u * k[1]))) + (v * (((1 - u) * k[n]) + (u * k[n + 1])));
    }

    private readonly record struct Colour(double R, double G, double B)
    {
        public Colour Lighter(double by) => new(R + by, G + by, B + by);
    }
}
