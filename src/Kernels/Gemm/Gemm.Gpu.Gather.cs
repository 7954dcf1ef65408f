using ILGPU;

namespace RefConv.Kernels;

/// <summary>A pixel that a thread gathers around: where tap (0, 0) lies, and that tap's element in the map (meaningless until it is known to be inside).</summary>
internal struct GatherRow
{
    public int H, W, Base;

    /// <summary>Outside every map, whatever the tap.</summary>
    private const int Nowhere = -(1 << 29);

    public static GatherRow At(ProductArguments a, int row, int group)
    {
        int image = row / (a.Pixels.H * a.Pixels.W);
        int inImage = row - (image * a.Pixels.H * a.Pixels.W);
        int p = inImage / a.Pixels.W;
        int h = (p * a.Pixels.StrideH) + a.Pixels.OffsetH;
        int w = ((inImage - (p * a.Pixels.W)) * a.Pixels.StrideW) + a.Pixels.OffsetW;
        return new()
        {
            H = row < a.Rows ? h : Nowhere,
            W = w,
            Base = (((((image * a.Pixels.SourceH) + h) * a.Pixels.SourceW) + w) * a.Pixels.SourceC) + (group * a.GroupA),
        };
    }
}

/// <summary>A term of the sum when terms are taps and channels: moved on by adding, never by dividing.</summary>
internal struct GatherTerm
{
    /// <summary>Channel inside the tap, the tap, and its distance in pixels.</summary>
    public int C, R, S, H, W;

    /// <summary>Distance of this term in the map and in the weights.</summary>
    public int Offset, Weight;

    public static GatherTerm At(ProductArguments a, int term)
    {
        int tap = term / a.Pixels.Channels;
        int r = tap / a.Pixels.TapsW;
        GatherTerm t = new() { C = term - (tap * a.Pixels.Channels), R = r, S = tap - (r * a.Pixels.TapsW) };
        t.Locate(a);
        return t;
    }

    public void Move(ProductArguments a, int terms)
    {
        C += terms;
        Offset += terms;
        Weight += terms;
        if (C < a.Pixels.Channels) return;
        while (C >= a.Pixels.Channels)
        {
            C -= a.Pixels.Channels;
            S++;
            if (S == a.Pixels.TapsW)
            {
                S = 0;
                R++;
            }
        }
        Locate(a);
    }

    public readonly bool IsInside(ProductArguments a, GatherRow row) =>
        (uint)(row.H + H) < (uint)a.Pixels.SourceH && (uint)(row.W + W) < (uint)a.Pixels.SourceW;

    private void Locate(ProductArguments a)
    {
        H = R * a.Pixels.StepH;
        W = S * a.Pixels.StepW;
        Offset = (((H * a.Pixels.SourceW) + W) * a.Pixels.SourceC) + C;
        Weight = a.FirstTap + (R * a.TapStrideH) + (S * a.TapStrideW) + C;
    }
}

/// <summary>A term of the sum when terms are pixels: the same, moved on by images, rows and columns.</summary>
internal struct GatherPixel
{
    public int N, H, W;

    public static GatherPixel At(ProductArguments a, int pixel)
    {
        int row = pixel / a.Pixels.W;
        int n = row / a.Pixels.H;
        return new() { N = n, H = row - (n * a.Pixels.H), W = pixel - (row * a.Pixels.W) };
    }

    public void Move(ProductArguments a)
    {
        W += a.Pixels.NextW;
        H += a.Pixels.NextH;
        N += a.Pixels.NextN;
        if (W >= a.Pixels.W)
        {
            W -= a.Pixels.W;
            H++;
        }
        if (H >= a.Pixels.H)
        {
            H -= a.Pixels.H;
            N++;
        }
    }
}

/// <summary>A row of the weight gradient: a tap and a channel.</summary>
internal struct TapChannel
{
    public int H, W, C;

    public static TapChannel At(ProductArguments a, int row, int group)
    {
        int tap = row / a.Pixels.Channels;
        int r = tap / a.Pixels.TapsW;
        return new()
        {
            H = row < a.Rows ? (r * a.Pixels.StepH) + a.Pixels.OffsetH : -(1 << 29),
            W = ((tap - (r * a.Pixels.TapsW)) * a.Pixels.StepW) + a.Pixels.OffsetW,
            C = row - (tap * a.Pixels.Channels) + (group * a.GroupA),
        };
    }

    /// <summary>Where it meets a pixel of the result, or −1.</summary>
    public readonly int Index(ProductArguments a, GatherPixel pixel)
    {
        int h = (pixel.H * a.Pixels.StrideH) + H;
        int w = (pixel.W * a.Pixels.StrideW) + W;
        bool inside = (uint)h < (uint)a.Pixels.SourceH && (uint)w < (uint)a.Pixels.SourceW;
        return inside ? (((((pixel.N * a.Pixels.SourceH) + h) * a.Pixels.SourceW) + w) * a.Pixels.SourceC) + C : -1;
    }
}
