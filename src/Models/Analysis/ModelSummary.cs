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
/// <param name="TrainBytes">Bytes that one image's forward pass writes while training: all results, kept for the backward pass or not.</param>
/// <param name="DeployBytes">The same after merging.</param>
public sealed record LayerSummary(string Name, string Kind, Shape Output, long TrainParameters, long DeployParameters,
    long TrainMacs, long TransformMacs, long DeployMacs, long TrainBytes, long DeployBytes);

/// <summary>
/// What a model costs, layer by layer, in the form it is in and after merging. A training form is one layer, whatever it is made of.
/// MAC = one multiply-add of a convolution or linear layer.
/// </summary>
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

    /// <summary>Bytes written by the layers for an image while training.</summary>
    public long TrainBytes => Layers.Sum(l => l.TrainBytes);

    /// <summary>Bytes written by the layers for an image after merging.</summary>
    public long DeployBytes => Layers.Sum(l => l.DeployBytes);

    /// <summary>Counts a model; nothing is trained and the model is left as it is.</summary>
    public static ModelSummary Of(Model model)
    {
        bool training = model.Training;
        model.Eval();
        try
        {
            var train = Count(model);
            using var merged = Plain(model);
            var deploy = (merged == null ? train : Count(merged)).ToDictionary(l => l.Name);
            return new ModelSummary([.. train.Select(l => Row(l, deploy.GetValueOrDefault(l.Name)))]);
        }
        finally
        {
            if (training) model.Train();
        }

        // Paths are the same in both, so a row finds its counterpart: a norm that a form has absorbed has a row without weights, which the merged norm fills.
        static LayerSummary Row(Counted l, Counted? d) =>
            new(l.Name, l.Kind, l.Output, l.Parameters, d?.Parameters ?? 0, l.Macs, l.TransformMacs, d?.Macs ?? 0, l.Bytes, d?.Bytes ?? 0);
    }

    /// <summary>The merged model; null where there is nothing to merge.</summary>
    private static Model? Plain(Model model) =>
        model.IsMergeable ? model.Merge().Merged : null;

    private sealed record Counted(string Name, string Kind, Shape Output, long Parameters, long Macs, long TransformMacs, long Bytes);

    private static List<Counted> Count(Model model)
    {
        using var probe = model.Probe(batch: 1);
        using var tape = Tape.Trace();
        model.Forward(probe);
        HashSet<Tensor> data = [probe];   // what depends on the image; the rest is computed once a step
        foreach (var node in tape.Nodes.Where(n => n.Inputs.Any(data.Contains))) data.Add(node.Output);

        List<Counted> layers = [];
        string form = "";
        foreach (var (name, module) in model.NamedModules())
        {
            if (form.Length > 0 && name.StartsWith(form, StringComparison.Ordinal)) continue;
            bool isForm = Reparameterization.IsTrainingForm(module) || module is IUnmergeable or AbsorbedNorm;
            if (isForm) form = name + ".";
            long parameters = module.ParameterCount() - (isForm ? 0 : module.Children.Sum(c => c.Value.ParameterCount()));
            if (parameters == 0 && module is not AbsorbedNorm) continue;
            var nodes = tape.Nodes.Where(n => n.Name == name || (isForm && n.Name.StartsWith(form, StringComparison.Ordinal))).ToArray();
            var perImage = nodes.Where(n => data.Contains(n.Output)).ToArray();
            layers.Add(new Counted(name, module.GetType().Name, perImage.Length > 0 ? perImage[^1].Output.Shape : new Shape(0), parameters,
                perImage.Sum(n => n.Macs), nodes.Except(perImage).Sum(n => n.Macs), perImage.Where(n => !n.IsView).Sum(n => n.Output.Shape.Count * sizeof(float))));
        }
        return layers;
    }
}
