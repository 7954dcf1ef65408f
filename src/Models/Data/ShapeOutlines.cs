namespace RefConv.Models.Data;

/// <summary>A point of the plane, x to the right and y down.</summary>
internal readonly record struct Point(double X, double Y)
{
    public static Point operator +(Point a, Point b) => new(a.X + b.X, a.Y + b.Y);

    public static Point operator -(Point a, Point b) => new(a.X - b.X, a.Y - b.Y);

    public static Point operator *(double s, Point a) => new(s * a.X, s * a.Y);

    public static double Dot(Point a, Point b) => (a.X * b.X) + (a.Y * b.Y);
}

/// <summary>The ten shapes, as polygons of about radius 1 around the origin.</summary>
internal static class ShapeOutlines
{
    public static readonly string[] Names =
        ["circle", "crescent", "triangle", "square", "pentagon", "star", "cross", "tee", "arrow", "heart"];

    public static readonly Point[][] Polygons =
    [
        Regular(24, 0.92), Crescent(), Regular(3, 1.12), Regular(4, 1.05), Regular(5, 1.0), Star(),
        // cross
        [
            new(-0.32, -0.95), new(0.32, -0.95), new(0.32, -0.32), new(0.95, -0.32), new(0.95, 0.32), new(0.32, 0.32),
            new(0.32, 0.95), new(-0.32, 0.95), new(-0.32, 0.32), new(-0.95, 0.32), new(-0.95, -0.32), new(-0.32, -0.32),
        ],
        // tee: a cross without its top
        [
            new(-0.95, -0.75), new(0.95, -0.75), new(0.95, -0.12), new(0.32, -0.12),
            new(0.32, 0.95), new(-0.32, 0.95), new(-0.32, -0.12), new(-0.95, -0.12),
        ],
        // arrow: a triangle on a tee's stem
        [
            new(0, -1.05), new(0.85, -0.05), new(0.3, -0.05), new(0.3, 0.95), new(-0.3, 0.95), new(-0.3, -0.05), new(-0.85, -0.05),
        ],
        Heart(),
    ];

    private static Point OnCircle(double turns, double radius)
    {
        var (sin, cos) = Math.SinCos(2 * Math.PI * turns);
        return new Point(radius * sin, -radius * cos);
    }

    private static Point[] Regular(int corners, double radius) =>
        [.. Enumerable.Range(0, corners).Select(i => OnCircle((double)i / corners, radius))];

    private static Point[] Star() =>
        [.. Enumerable.Range(0, 10).Select(i => OnCircle(i / 10.0, i % 2 == 0 ? 1.12 : 0.48))];

    /// <summary>The outer arc from horn to horn the long way round, and back along a circle that is moved to the right.</summary>
    private static Point[] Crescent()
    {
        const int Arc = 12;
        const double Horn = 1.0 / 7; // of a turn from the x axis
        var points = new List<Point>();
        for (int i = 0; i <= Arc; i++) points.Add(OnCircle(0.25 + Horn + ((1 - (2 * Horn)) * i / Arc), 1));
        var horn = points[0];
        const double Shift = 0.5;
        double radius = Math.Sqrt(((horn.X - Shift) * (horn.X - Shift)) + (horn.Y * horn.Y));
        double angle = Math.Atan2(horn.Y, horn.X - Shift) / (2 * Math.PI); // of a turn, below the x axis (y is down)
        for (int i = 1; i < Arc; i++)
        {
            // From the upper horn over the left side to the lower one.
            double turns = 0.25 - angle - ((1 - (2 * angle)) * i / Arc);
            var p = OnCircle(turns, radius);
            points.Add(new Point(p.X + Shift, p.Y));
        }
        return [.. points.Select(p => new Point(p.X + 0.2, p.Y))];
    }

    /// <summary>The usual curve x = 16 sin³t, y = 13 cos t − 5 cos 2t − 2 cos 3t − cos 4t.</summary>
    private static Point[] Heart() =>
    [
        .. Enumerable.Range(0, 24).Select(i =>
        {
            double t = 2 * Math.PI * i / 24;
            double x = 16 * Math.Pow(Math.Sin(t), 3);
            double y = (13 * Math.Cos(t)) - (5 * Math.Cos(2 * t)) - (2 * Math.Cos(3 * t)) - Math.Cos(4 * t);
            return new Point(x / 16, -(y + 2) / 16);
        }),
    ];
}
