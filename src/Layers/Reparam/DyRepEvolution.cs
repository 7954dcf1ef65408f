using RefConv.Kernels;

namespace RefConv.Layers;

/// <summary>The changes that DyRep makes to a model in training. None of them changes what it computes in evaluation.</summary>
internal static class DyRepEvolution
{
    /// <summary>The convolution with the highest mean score, of those that may grow; null if none was scored.</summary>
    public static string? Choose(Module model, DyRepScore kind, ulong seed, int epoch)
    {
        var candidates = model.NamedModules().Where(m => m.Module is DyRepConv2d { Depth: < 2 }).Select(m => (m.Name, Conv: (DyRepConv2d)m.Module)).ToArray();
        if (candidates.Length == 0) return null;
        if (kind == DyRepScore.Random) return candidates[new RandomStream(seed, 0xD7E9_0000UL + (ulong)epoch).NextInt(candidates.Length)].Name;
        var scored = candidates.Where(c => c.Conv.Batches > 0).ToArray();
        return scored.Length == 0 ? null : scored.MaxBy(c => c.Conv.ScoreSum / c.Conv.Batches).Name;
    }

    /// <summary>Puts a block in the place of a convolution.</summary>
    /// <param name="model">The model.</param>
    /// <param name="path">The convolution.</param>
    /// <param name="init">Random numbers for the new branches.</param>
    /// <param name="batches">Batches to find running statistics on.</param>
    /// <param name="forward">Runs them.</param>
    public static void Grow(Module model, string path, Initializer init, int batches, Action<int>? forward)
    {
        var conv = (DyRepConv2d)model.Find(path);
        var kernel = conv.ToKernel();
        var block = new DyRepBlock(conv, DyRepBlock.All(conv), init);
        block.Absorb(kernel);
        model.Replace(path, block).Dispose();
        if (batches == 0 || forward == null) return;
        Recalibrate(model, block, batches, forward);
        block.Absorb(kernel); // the statistics are others now
    }

    /// <summary>Removes the weak branches of all blocks; a block of which only the k×k branch is left becomes one convolution.</summary>
    public static bool Cut(Module model)
    {
        bool changed = false;
        // Inner blocks first: what an outer one then hands to its k×k branch goes to what is left of them.
        foreach (var (name, module) in model.NamedModules().Where(m => m.Module is DyRepBlock).Reverse().ToArray())
        {
            var block = (DyRepBlock)module;
            if (!block.CutWeak()) continue;
            changed = true;
            if (block.Branches.Count == 1) model.Replace(name, DyRepConv2d.InPlaceOf(block)).Dispose();
        }
        return changed;
    }

    /// <summary>Running statistics of the new norms as the mean over the batches; those of all others stay as they are.</summary>
    private static void Recalibrate(Module model, DyRepBlock block, int batches, Action<int> forward)
    {
        var norms = model.NamedModules().Select(m => m.Module).OfType<BatchNorm2d>().ToArray();
        var fresh = block.NamedModules().Select(m => m.Module).OfType<BatchNorm2d>().ToHashSet();
        double[] momenta = [.. norms.Select(n => n.Momentum)];
        float[][] counters = [.. norms.Select(n => n.BatchCounter.ToArray())];
        try
        {
            for (int i = 0; i < batches; i++)
            {
                foreach (var norm in norms) norm.Momentum = fresh.Contains(norm) ? 1.0 / (i + 1) : 0;
                forward(i);
            }
        }
        finally
        {
            for (int i = 0; i < norms.Length; i++)
            {
                norms[i].Momentum = momenta[i];
                norms[i].BatchCounter.CopyFrom(counters[i]);
            }
        }
    }
}
