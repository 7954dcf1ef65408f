namespace RefConv.Kernels;

internal sealed partial class GpuKernels
{
    public void DepthToSpace(in DepthToSpaceGeometry g, BufferView x, BufferView y, bool accumulate)
    {
        if (g.N * g.H * g.W * g.C == 0) return;
        bool wide = BlockIsWide(g, x, y);
        int c = wide ? g.C / 4 : g.C;
        var move = new BlocksToPixels { Channels = new(c), Columns = new(g.W * g.Block), Block = new(g.Block), W = g.W, IsDcr = g.Mode == DepthToSpaceMode.DCR ? 1 : 0 };
        MoveImages(g, move, x, y, wide, accumulate);
    }

    public void SpaceToDepth(in DepthToSpaceGeometry g, BufferView y, BufferView x, bool accumulate)
    {
        if (g.N * g.H * g.W * g.C == 0) return;
        bool wide = BlockIsWide(g, x, y);
        int c = wide ? g.C / 4 : g.C, places = g.Block * g.Block;
        bool dcr = g.Mode == DepthToSpaceMode.DCR;
        var move = new PixelsToBlocks
        {
            Depth = new(c * places), Columns = new(g.W), Inner = new(dcr ? c : places), Block = new(g.Block), Channels = c, IsDcr = dcr ? 1 : 0,
        };
        MoveImages(g, move, y, x, wide, accumulate);
    }

    /// <summary>Whether four neighbouring channels stay neighbours: only where the channels of a pixel lie together in the deep map.</summary>
    private static bool BlockIsWide(in DepthToSpaceGeometry g, BufferView x, BufferView y) => g.Mode == DepthToSpaceMode.DCR && IsWide(g.C, x, y);

    private void MoveImages<T>(in DepthToSpaceGeometry g, T move, BufferView from, BufferView to, bool wide, bool accumulate) where T : unmanaged, IGpuMove
    {
        long image = (long)g.H * g.W * g.C * g.Block * g.Block;
        foreach (var (first, count) in Pieces(g.N, image))
        {
            var (source, target) = (Rows(from, first, count, image), Rows(to, first, count, image));
            if (wide) Move(move, source, target, count * image, wide, accumulate);
            else MoveOrGather(move, source, target, count * image, accumulate);
        }
    }

    /// <summary>An element of the wide map comes from the block that its pixel lies in.</summary>
    internal struct BlocksToPixels : IGpuMove
    {
        public Divisor Channels, Columns, Block;
        public int W, IsDcr;

        public readonly int Source(int i)
        {
            int pixel = Channels.Divide(i), c = Channels.Rest(i, pixel), wideRow = Columns.Divide(pixel), wideColumn = Columns.Rest(pixel, wideRow);
            // Rows of all images are counted on: the block's row in all of them together.
            int row = Block.Divide(wideRow), column = Block.Divide(wideColumn), r = Block.Value;
            int place = (Block.Rest(wideRow, row) * r) + Block.Rest(wideColumn, column);
            int k = IsDcr != 0 ? (place * Channels.Value) + c : (c * r * r) + place;
            return (((row * W) + column) * Channels.Value * r * r) + k;
        }

        public readonly int Target(int i) => i;
    }

    /// <summary>The inverse.</summary>
    internal struct PixelsToBlocks : IGpuMove
    {
        public Divisor Depth, Columns, Inner, Block;
        public int Channels, IsDcr;

        public readonly int Source(int i)
        {
            int pixel = Depth.Divide(i), k = Depth.Rest(i, pixel), row = Columns.Divide(pixel), column = Columns.Rest(pixel, row);
            int outer = Inner.Divide(k), inner = Inner.Rest(k, outer);
            int c = IsDcr != 0 ? inner : outer, place = IsDcr != 0 ? outer : inner, r = Block.Value;
            int placeRow = Block.Divide(place), placeColumn = Block.Rest(place, placeRow);
            return (((((row * r) + placeRow) * Columns.Value * r) + (column * r) + placeColumn) * Channels) + c;
        }

        public readonly int Target(int i) => i;
    }
}
