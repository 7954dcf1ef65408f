namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void CountHits(in SoftmaxCrossEntropyGeometry g, BufferView x, BufferView labels, BufferView hits)
    {
        int count = 0;
        for (int n = 0; n < g.N; n++)
        {
            var row = S(x).Slice(n * g.Classes, g.Classes);
            int label = (int)S(labels)[n], before = 0;
            for (int j = 0; j < g.Classes; j++)
            {
                if (row[j] > row[label] || (row[j] == row[label] && j < label) || double.IsNaN(row[j])) before++;
            }
            if (before == 0) count++;
        }
        S(hits)[0] = count;
    }
}
