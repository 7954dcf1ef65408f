using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models.Data;
using RefConv.Optim;

namespace RefConv.Models.Train;

/// <summary>One step of training: forward, loss, backward, clipping, and the optimiser's step.</summary>
internal static class TrainingStep
{
    /// <param name="model">In training mode.</param>
    /// <param name="optimizer">Of its parameters.</param>
    /// <param name="recipe">Smoothing, clipping, memory.</param>
    /// <param name="batch">Pictures.</param>
    /// <param name="step">Number of the step in the run, from 0: dropout depends on it.</param>
    /// <param name="learningRate">η</param>
    /// <param name="log">Takes what the step gave. Where it is known at once that the loss is no finite number, nothing is changed.</param>
    /// <param name="scaler">Where the device needs one.</param>
    public static void Run(Model model, IOptimizer optimizer, Recipe recipe, Batch batch, long step, double learningRate, StepLog log, LossScaler? scaler = null)
    {
        var device = model.Device;
        using var x = Tensor.From(device, batch.Images, new Shape(batch.Count, batch.Height, batch.Width, batch.Channels));
        using var target = new Target(device, batch);
        using var tape = Tape.Train(step, recipe.Seed, recipe.SaveMemory);
        var logits = model.Forward(x);
        var loss = target.Loss(logits, recipe.LabelSmoothing);
        if (!log.Add(loss, logits, target.Counted)) return;
        if (scaler == null)
        {
            tape.Backward(loss);
        }
        else
        {
            scaler.Backward(tape, loss);
            if (!scaler.Unscale(optimizer)) return;
        }
        foreach (var form in model.Forms) (form.Method as IEvolving)?.AfterBackward(model);
        if (recipe.ClipNorm > 0) GradientClipping.Clip(optimizer.Groups.SelectMany(g => g.Parameters).Select(p => p.Parameter), recipe.ClipNorm);
        optimizer.Step(learningRate);
        optimizer.ZeroGrad();
    }

    /// <summary>What the scores of a batch should be: one label a picture, or two with their shares.</summary>
    internal sealed class Target(Device device, Batch batch) : IDisposable
    {
        private readonly Tensor _labels = Tensor.From(device, batch.Labels, new Shape(batch.Count));
        private readonly Tensor? _others = batch.OtherLabels == null ? null : Tensor.From(device, batch.OtherLabels, new Shape(batch.Count));
        private readonly Tensor _share = Tensor.Full(device, new Shape(1), batch.Share), _rest = Tensor.Full(device, new Shape(1), 1 - batch.Share);

        /// <summary>The label that accuracy counts: of two the one with the larger share.</summary>
        public Tensor Counted => batch.Share < 0.5 ? _others! : _labels;

        /// <summary>Mean cross-entropy; of mixed pictures with both labels, each by its share: what it is with the mixed one-hot targets.</summary>
        public Tensor Loss(Tensor logits, double smoothing)
        {
            var loss = logits.CrossEntropy(_labels, smoothing);
            return _others == null ? loss : loss.Multiply(_share).Add(logits.CrossEntropy(_others, smoothing).Multiply(_rest));
        }

        public void Dispose()
        {
            _labels.Dispose();
            _others?.Dispose();
            _share.Dispose();
            _rest.Dispose();
        }
    }
}
