using RefConv.Layers;

namespace RefConv.Models.Analysis;

/// <summary>What one layer costs.</summary>
/// <param name="Name">Path in the model.</param>
/// <param name="Kind">Layer type.</param>
/// <param name="Output">Shape of its result for one image.</param>
/// <param name="TrainParameters">Weights while training, frozen ones included.</param>
/// <param name="DeployParameters">Weights after merging.</param>
/// <param name="TrainMacs">Multiply-adds of one image's forward pass while training, without the transform.</param>
/// <param name="TransformMacs">Multiply-adds of computing the kernel: once a step, whatever the batch.</param>
/// <param name="DeployMacs">Multiply-adds of one image after merging.</param>
public sealed record LayerSummary(string Name, string Kind, Shape Output, long TrainParameters, long DeployParameters, long TrainMacs, long TransformMacs, long DeployMacs);

/// <summary>What a model costs, layer by layer, in the form it is in and after merging. MAC = one multiply-add of a convolution or linear layer.</summary>
/// <param name="Layers">Layers with weights, in the order they run.</param>
public sealed record ModelSummary(IReadOnlyList<LayerSummary> Layers)
{
    /// <summary>Weights while training, frozen ones included.</summary>
    public long TrainParameters => Layers.Sum(l => l.TrainParameters);

    /// <summary>Weights after merging.</summary>
    public long DeployParameters => Layers.Sum(l => l.DeployParameters);

    /// <summary>Multiply-adds an image while training, without transforms.</summary>
    public long TrainMacs => Layers.Sum(l => l.TrainMacs);

    /// <summary>Multiply-adds of all transforms, a step.</summary>
    public long TransformMacs => Layers.Sum(l => l.TransformMacs);

    /// <summary>Multiply-adds an image after merging.</summary>
    public long DeployMacs => Layers.Sum(l => l.DeployMacs);

    /// <summary>Counts a model; nothing is trained and the model is left as it is.</summary>
    public static ModelSummary Of(Model model)
    {
        bool training = model.Training;
        model.Eval();
        try
        {
            var train = Count(model);
            if (model.Form == null) return new ModelSummary([.. train.Select(l => new LayerSummary(l.Name, l.Kind, l.Output, l.Parameters, l.Parameters, l.Macs, 0, l.Macs))]);
            var (merged, _) = model.Merge();
            using (merged)
            {
                var deploy = Count(merged).ToDictionary(l => l.Name);
                return new ModelSummary([.. train.Select(l => new LayerSummary(
                    l.Name, l.Kind, l.Output, l.Parameters, deploy[l.Name].Parameters, l.Macs, l.TransformMacs, deploy[l.Name].Macs))]);
            }
        }
        finally
        {
            if (training) model.Train();
        }
    }

    private static List<(string Name, string Kind, Shape Output, long Parameters, long Macs, long TransformMacs)> Count(Model model)
    {
        using var probe = model.Probe(batch: 1);
        using var tape = Tape.Trace();
        model.Forward(probe);
        List<(string, string, Shape, long, long, long)> layers = [];
        foreach (var (name, module) in model.NamedModules())
        {
            long parameters = module.ParameterCount() - module.Children.Sum(c => c.Value.ParameterCount());
            if (parameters == 0) continue;
            var nodes = tape.Nodes.Where(n => n.Name == name).ToArray();
            layers.Add((name, module.GetType().Name, nodes[^1].Output.Shape, parameters,
                nodes.Where(n => n is not RefocusOp).Sum(n => n.Macs), nodes.Where(n => n is RefocusOp).Sum(n => n.Macs)));
        }
        return layers;
    }
}
