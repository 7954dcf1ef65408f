namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    // One pass over scores that were just written; less work than waking a thread.
    public void CountHits(in SoftmaxCrossEntropyGeometry g, BufferView x, BufferView labels, BufferView hits)
    {
        int count = 0;
        for (int n = 0; n < g.N; n++)
        {
            float* row = P(x) + ((long)n * g.Classes);
            int label = (int)P(labels)[n], j = 0;
            float own = row[label];
            // Written so that a NaN, which no comparison holds for, ends the loop as a better class does.
            while (j < label && row[j] < own) j++;
            if (j < label || float.IsNaN(own)) continue;
            for (j++; j < g.Classes && row[j] <= own; j++) { }
            if (j == g.Classes) count++;
        }
        *P(hits) = count;
    }
}
